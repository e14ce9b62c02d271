"""The head: a light model over the frozen text, with a residual per item, that learns from every event."""

import numpy as np

from online.batch import Batch, Scores
from online.kernels import mean_history, softmax_row, step_inputs, step_outputs
from state.tables import Tables

_FIRST_SQUARE = 0.1  # Adagrad accumulators start here: the first steps stay bounded


class Head:
    """Next-item softmax s_j = h . Y_j + b_j over the mean h of the newest items' rows X, X = Y = text at the start.

    h = sum_p w_p X[q_p] / |w| with positional weights w_p = exp(positions[p]), learned. Full softmax over the
    candidates, one row-wise Adagrad step per mini-batch, one pass.

    Source: docs/quality.md, B2 and D2; Duchi et al. 2011, "Adaptive subgradient methods" (Adagrad).
    """

    is_mass = False
    is_shared = False

    def __init__(self, name: str, window: int, decay: float, rate: float, position_rate: float, base: Scores) -> None:
        """Start from the text.

        Args:
            name: in reports.
            window: history positions read, L.
            decay: positional weights start at decay ** p.
            rate: Adagrad step of X, Y and b.
            position_rate: Adagrad step of the log positional weights.
            base: text vectors, shape (N, d), float32.
        """
        self.name = name
        self._rate = np.float32(rate)
        self._position_rate = np.float32(position_rate)
        self._X = base.copy()
        self._Y = base.copy()
        self._b = np.zeros(len(base), np.float32)
        self._squares_X = np.full(len(base), _FIRST_SQUARE, np.float32)
        self._squares_Y = self._squares_X.copy()
        self._squares_b = self._squares_X.copy()
        self._positions = (np.arange(window) * np.log(decay)).astype(np.float32)
        self._squares_p = np.ones(window, np.float32)

    def score(self, batch: Batch, out: Scores) -> None:
        """See `Expert`."""
        queries, _, _ = self._queries(batch)
        np.matmul(queries, self._Y.T, out=out)
        out += self._b

    def learn(self, batch: Batch, scores: Scores) -> None:
        """See `Expert`; only scored events teach, and the softmax is over their candidates."""
        H, weights, norms = self._queries(batch)
        G = score_gradient(scores, batch)
        GH = G @ self._Y
        GY = G.T @ H
        step_outputs(G, GY, H, self._Y, self._b, self._squares_Y, self._squares_b, self._rate)
        step_inputs(
            batch.history, weights, norms, GH, H, self._X, self._squares_X, self._positions, self._squares_p,
            self._rate, self._position_rate,
        )  # fmt: skip

    def grow(self, base: Scores) -> None:
        """See `Expert`; a new item starts from its text."""
        new = base[len(self._X) :]
        fresh = np.full(len(new), _FIRST_SQUARE, np.float32)
        self._X = np.vstack([self._X, new])
        self._Y = np.vstack([self._Y, new])
        self._b = np.append(self._b, np.zeros(len(new), np.float32))
        self._squares_X = np.append(self._squares_X, fresh)
        self._squares_Y = np.append(self._squares_Y, fresh)
        self._squares_b = np.append(self._squares_b, fresh)

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; what was learned of the item stays, on top of its new text."""
        self._X[row] += moved
        self._Y[row] += moved

    def tables(self) -> Tables:
        """See `Expert`."""
        return {
            "X": self._X,
            "Y": self._Y,
            "b": self._b,
            "squares_X": self._squares_X,
            "squares_Y": self._squares_Y,
            "squares_b": self._squares_b,
            "positions": self._positions,
            "squares_p": self._squares_p,
        }

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
        for name, table in tables.items():
            setattr(self, f"_{name}", np.asarray(table, np.float32))

    def _queries(self, batch: Batch) -> tuple[Scores, Scores, Scores]:
        """Return the queries h, shape (B, d), the positional weights, shape (L,), their inverse norms, shape (B,)."""
        weights = np.exp(self._positions)
        queries = np.empty((len(batch.target), self._X.shape[1]), np.float32)
        norms = np.empty(len(queries), np.float32)
        mean_history(batch.history[:, : len(weights)], weights, self._X, queries, norms)
        return queries, weights, norms


def score_gradient(scores: Scores, batch: Batch) -> Scores:
    """Turn masked scores, in place, into the gradient of summed -log softmax(scores)[target]; 0 if not scored."""
    powers = np.empty(scores.shape[1], np.int32)
    for row, target, scored in zip(scores, batch.target.tolist(), batch.scored.tolist(), strict=True):
        if scored:
            softmax_row(row, row, powers, powers.view(np.float32))
            row[target] -= 1
        else:
            row[:] = 0
    return scores
