"""The head: a light model over the frozen text, with a residual per item, that learns from every event."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled, compiled_long
from online.decayed import DecayedCounts, add_growing
from online.experts.base import Column, Kernels, register
from online.kernels import MASKED, log_row, mask_scores, softmax_row
from online.sampling import Sampling, draw_rows, expected_draws
from online.selection import select_dense
from online.steps import mean_history, softmax_gradient, step_inputs, step_outputs
from state.tables import Tables

_FREQUENCY = 3000  # half-life, in events, of how often an item comes
_FIRST_SQUARE = 0.1  # Adagrad accumulators start here: the first steps stay bounded
_SHARED = ("Y", "b", "squares_Y", "squares_b")
_BY_MEMORY = ("X", "squares_X", "positions", "squares_p")


class Memory(NamedTuple):
    """How far back a head reads."""

    window: int  # newest items
    decay: float  # positional weights start at decay ** p


class HeadState(NamedTuple):
    """What is said of a batch: best items and the target's rank by event, all masked scores, and each event's best.

    Shapes (B, K), (B,), (B, N) and (B,).
    """

    item: NDArray[np.int32]
    rank: NDArray[np.int32]
    scores: Scores
    top: Scores


class Head:
    """Next-item softmax s_j = h . Y_j + b_j over memories h = (short, long) of the newest items, learned together.

    A memory is sum_p w_p X[q_p] / |w| over its rows X with positional weights w_p = exp(positions[p]), learned; X, and
    Y's part for each, are the text at the start. Full softmax over the candidates, one row-wise Adagrad step per
    mini-batch, one pass.

    Source: docs/quality.md, B2 and D2; Duchi et al. 2011, "Adaptive subgradient methods" (Adagrad).
    """

    def __init__(
        self,
        name: str,
        memories: Sequence[Memory],
        rate: float,
        position_rate: float,
        sampling: Sampling,
        keep: int,
        base: Scores,
    ) -> None:
        """Start from the text.

        Args:
            name: in reports.
            memories: `M` of them, from the shortest on; the last one's window is L.
            rate: Adagrad step of X, Y and b.
            position_rate: Adagrad step of the log positional weights.
            sampling: when and how the softmax is learned from a sample of the items.
            keep: K, items that it nominates.
            base: text vectors, shape (N, d), float32.
        """
        self.name = name
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True),)
        self._rate = np.float32(rate)
        self._position_rate = np.float32(position_rate)
        self._sampling = sampling
        self._events = DecayedCounts(len(base), _FREQUENCY)
        self._drawn = np.zeros(1, np.int64)  # samples so far
        self._windows = np.array([memory.window for memory in memories], np.int64)
        self._X = np.stack([base] * len(memories))
        self._Y = np.hstack([base] * len(memories))
        self._b = np.zeros(len(base), np.float32)
        self._squares_X = np.full((len(memories), len(base)), _FIRST_SQUARE, np.float32)
        self._squares_Y = np.full(len(base), _FIRST_SQUARE, np.float32)
        self._squares_b = self._squares_Y.copy()
        decays = np.array([[memory.decay] for memory in memories])
        self._positions = (np.arange(self._windows.max()) * np.log(decays)).astype(np.float32)
        self._squares_p = np.ones(self._positions.shape, np.float32)
        self._keep = keep
        self._room: Scores = np.empty((3, 0, 0), np.float32)  # two batches' scores in turn, and a gradient
        self._turn = 0
        self._said = HeadState(*(np.empty(0, np.int32),) * 2, *(np.empty(0, np.float32),) * 2)  # of the batch at hand
        self._H = self._weights = self._norms = self._said.top

    def prepare(self, batch: Batch) -> HeadState:
        """See `SlowExpert`."""
        B, N = len(batch.target), len(self._Y)
        self._weights = np.exp(self._positions)
        M = len(self._windows)
        self._H, self._norms = np.empty((M, B, self._X.shape[2]), np.float32), np.empty((M, B), np.float32)
        self._said = said = HeadState(
            np.empty((B, min(self._keep, N)), np.int32), np.empty(B, np.int32), self._next_scores(B, N),
            np.empty(B, np.float32),
        )  # fmt: skip
        _score(
            batch.history, self._windows, self._weights, self._X, self._Y, self._b, batch.seen, batch.seen_from,
            batch.open, batch.target, batch.scored, self._H, self._norms, said.scores, said.item, said.rank, said.top,
        )  # fmt: skip
        return said

    def _next_scores(self, B: int, N: int) -> Scores:
        """Return room for scores: those of the batch before are still looked at, and new memory is slow."""
        if self._room.shape[1] < B or self._room.shape[2] != N:
            self._room = np.empty((3, B, N), np.float32)
        self._turn = 1 - self._turn
        return self._room[self._turn, :B]

    def learn(self, batch: Batch) -> None:
        """See `SlowExpert`; only scored events teach, and the softmax is over what they may show."""
        if len(self._Y) > self._sampling.above:
            self._learn_sample(batch)
            return
        said = self._said
        _learn(
            batch.history, self._windows, self._weights, self._norms, self._H, batch.target, batch.scored,
            said.scores, said.top, self._room[2, : len(said.scores)], self._X, self._Y, self._b, self._squares_X,
            self._squares_Y, self._squares_b, self._positions, self._squares_p, self._rate, self._position_rate,
        )  # fmt: skip

    def _learn_sample(self, batch: Batch) -> None:
        """Learn from the batch's own items and some others, drawn alike, corrected by how likely each is there."""
        sampling, events = self._sampling, self._events
        _learn_sample(
            batch.history, self._windows, self._weights, self._norms, self._H, batch.target, batch.scored,
            self._said.scores, sampling.seed, self._drawn, sampling.negatives, events.growth,
            events.counts, events.weight, self._X, self._Y, self._b, self._squares_X, self._squares_Y, self._squares_b,
            self._positions, self._squares_p, self._rate, self._position_rate,
        )  # fmt: skip

    def grow(self, base: Scores) -> None:
        """See `Signal`; a new item starts from its text."""
        self._events.grow(len(base))
        M, new = len(self._windows), base[len(self._Y) :]
        fresh = np.full(len(new), _FIRST_SQUARE, np.float32)
        self._X = np.concatenate([self._X, np.stack([new] * M)], axis=1)
        self._Y = np.vstack([self._Y, np.hstack([new] * M)])
        self._b = np.append(self._b, np.zeros(len(new), np.float32))
        self._squares_X = np.hstack([self._squares_X, np.stack([fresh] * M)])
        self._squares_Y = np.append(self._squares_Y, fresh)
        self._squares_b = np.append(self._squares_b, fresh)

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; what was learned of the item stays, on top of its new text."""
        self._X[:, row] += moved
        self._Y[row] += np.tile(moved, len(self._windows))

    def tables(self) -> Tables:
        """See `Signal`."""
        tables: Tables = {name: getattr(self, f"_{name}") for name in _SHARED}
        for name in _BY_MEMORY:
            tables |= {f"{name}.{which}": table for which, table in enumerate(getattr(self, f"_{name}"))}
        return {**tables, "drawn": self._drawn, **self._events.tables()}

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._events.load(tables)
        self._drawn = np.array(tables["drawn"], np.int64)
        for name in _SHARED:
            setattr(self, f"_{name}", np.array(tables[name], np.float32))
        for name in _BY_MEMORY:
            setattr(
                self,
                f"_{name}",
                np.stack([np.array(tables[f"{name}.{which}"], np.float32) for which in range(len(self._windows))]),
            )


@compiled_long
def _score(
    history: Any, windows: Any, weights: Any, X: Any, Y: Any, b: Any, seen: Any, seen_from: Any, open_: Any,
    target: Any, scored: Any, H: Any, norms: Any, scores: Any, item: Any, rank: Any, top: Any,
) -> None:  # fmt: skip
    """Write the memories, shape (M, B, d), all masked scores, shape (B, N), and what `select_dense` makes of them."""
    for which in range(windows.shape[0]):
        mean_history(history[:, : windows[which]], weights[which], X[which], H[which], norms[which])
    np.dot(_beside(H), Y.T, scores)
    for e in range(scores.shape[0]):
        row = scores[e]
        for j in range(row.shape[0]):
            row[j] += b[j]
    mask_scores(scores, seen, seen_from, open_)
    select_dense(scores, target, scored, item, rank, top)


@compiled
def _beside(H: Any) -> Any:
    """Return the memories, shape (M, B, d), side by side: the query, shape (B, M d)."""
    M, B, d = H.shape
    query = np.empty((B, M * d), np.float32)
    for e in range(B):
        for f in range(d):
            for which in range(M):
                query[e, which * d + f] = H[which, e, f]
    return query


@compiled
def _step_memories(
    history: Any, windows: Any, weights: Any, norms: Any, GH: Any, H: Any, X: Any, squares_X: Any, positions: Any,
    squares_p: Any, rate: Any, position_rate: Any,
) -> None:  # fmt: skip
    """Step all memories' rows; GH: gradient of the loss by the queries, shape (B, M d)."""
    d = X.shape[2]
    for which in range(windows.shape[0]):
        step_inputs(
            history[:, : windows[which]], weights[which], norms[which], GH[:, which * d : (which + 1) * d].copy(),
            H[which], X[which], squares_X[which], positions[which], squares_p[which], rate, position_rate,
        )  # fmt: skip


@compiled_long
def _learn(
    history: Any, windows: Any, weights: Any, norms: Any, H: Any, target: Any, scored: Any, scores: Any, top: Any,
    G: Any, X: Any, Y: Any, b: Any, squares_X: Any, squares_Y: Any, squares_b: Any, positions: Any, squares_p: Any,
    rate: Any, position_rate: Any,
) -> None:  # fmt: skip
    """Take one step on all parameters; G: room for the gradient by the scores."""
    softmax_gradient(scores, top, target, scored, G)
    GH = np.dot(G, Y)
    query = _beside(H)
    GY = np.dot(G.T, query)
    step_outputs(G, GY, query, Y, b, squares_Y, squares_b, rate)
    _step_memories(history, windows, weights, norms, GH, H, X, squares_X, positions, squares_p, rate, position_rate)


@compiled_long
def _learn_sample(
    history: Any, windows: Any, weights: Any, norms: Any, H: Any, target: Any, scored: Any, scores: Any, seed: int,
    drawn: Any, negatives: int, growth: float, counts: Any, weight: Any, X: Any, Y: Any, b: Any, squares_X: Any,
    squares_Y: Any, squares_b: Any, positions: Any, squares_p: Any, rate: Any, position_rate: Any,
) -> None:  # fmt: skip
    """Take one step on a sample of the items' rows, `S` of them, by their scores less the log of how likely each is."""
    rows, place = draw_rows(seed, drawn, negatives, target, counts.shape[0])
    B, S = scores.shape[0], rows.shape[0]
    log_likely = np.empty(S, np.float32)
    log_row(expected_draws(rows, negatives, B, counts, weight), log_likely)
    G = np.zeros((B, S), np.float32)
    z, powers = np.empty(S, np.float32), np.empty(S, np.int32)
    powers_as_float = powers.view(np.float32)
    for e in range(B):
        if not scored[e]:
            continue
        top = MASKED
        for c in range(S):
            s = scores[e, rows[c]]
            z[c] = s - log_likely[c] if s > MASKED else MASKED
            top = max(top, z[c])
        softmax_row(z, top, G[e], powers, powers_as_float)
        G[e, place[e]] -= np.float32(1)
    Y_rows, b_rows, squares_Y_rows, squares_b_rows = Y[rows], b[rows], squares_Y[rows], squares_b[rows]
    GH = np.dot(G, Y_rows)
    query = _beside(H)
    GY = np.dot(G.T, query)
    step_outputs(G, GY, query, Y_rows, b_rows, squares_Y_rows, squares_b_rows, rate)
    for c in range(S):
        Y[rows[c]] = Y_rows[c]
        b[rows[c]] = b_rows[c]
        squares_Y[rows[c]] = squares_Y_rows[c]
        squares_b[rows[c]] = squares_b_rows[c]
    _step_memories(history, windows, weights, norms, GH, H, X, squares_X, positions, squares_p, rate, position_rate)
    add_growing(target, growth, counts, weight)


@compiled
def _nominate(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`; it was found for the whole batch at once."""
    n = min(top.shape[0], s.item.shape[1])
    top[:n] = s.item[event.place, :n]
    top[n:] = -1
    return s.rank[event.place]  # type: ignore[no-any-return]


@compiled
def _describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`: scores less the event's best one."""
    for c in range(item.shape[0]):
        out[0, c] = s.scores[event.place, item[c]] - s.top[event.place]


register(HeadState, Kernels(1, _nominate, _describe, None))
