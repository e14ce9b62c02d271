"""A small network that adds to a linear score: one hidden layer, learned online by Adam."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled, compiled_alone
from state.tables import Tables

_MEAN_DECAY = np.float32(0.9)
_SQUARE_DECAY = np.float32(0.999)
_TINY = np.float32(1e-6)
_CLIP = 5.0  # bound of a standardised input
_STEADY = 10_000  # events whose features the scales look back on


class Network:
    """s = v . softsign(W x + b): starts at 0 for every x, because v does.

    Source: docs/quality.md, B2 (24 hidden units); Kingma, Ba 2015, "Adam".
    """

    def __init__(self, inputs: int, hidden: int, rate: float, seed: int) -> None:
        """Start with random W; `rate` is Adam's step."""
        self._rate = np.float32(rate)
        self._hidden = hidden
        self._all = np.zeros(hidden * (inputs + 2), np.float32)  # W, b, v one after the other
        self._mean = np.zeros_like(self._all)
        self._square = np.zeros_like(self._all)
        self._steps = np.zeros(1, np.int64)
        self._W, self._b, self._v = self._views(self._all)
        self._W[:] = np.random.default_rng(seed).normal(size=self._W.shape) / np.sqrt(inputs)

    def forward(self, X: Scores) -> tuple[Scores, Scores]:
        """Return the scores of the columns of X, shape (inputs, n), and the hidden layer, shape (hidden, n)."""
        hidden = self._W @ X
        softsign(hidden, self._b)
        return self._v @ hidden, hidden

    def step(self, X: Scores, hidden: Scores, gradient: Scores, events: int) -> None:
        """Take one step of Adam.

        Args:
            X, hidden: of `forward`; `hidden` is changed.
            gradient: of the summed loss by the scores, shape (n,).
            events: that the loss is summed over.
        """
        g = np.empty_like(self._all)
        g_W, g_b, g_v = self._views(g)
        g_v[:] = hidden @ gradient
        softsign_gradient(hidden, gradient, self._v, g_b)
        np.matmul(hidden, X.T, out=g_W)
        self._steps += 1
        n = int(self._steps[0])
        first, second = 1 - float(_MEAN_DECAY) ** n, 1 - float(_SQUARE_DECAY) ** n
        adam(
            self._all, g, np.float32(1 / events), self._mean, self._square, np.float32(self._rate / first),
            np.float32(1 / second),
        )  # fmt: skip

    def tables(self) -> Tables:
        """Return all that was learned, Adam's moments included; views, not copies."""
        return {"all": self._all, "mean": self._mean, "square": self._square, "steps": self._steps}

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        self._all = np.array(tables["all"], np.float32)
        self._mean = np.array(tables["mean"], np.float32)
        self._square = np.array(tables["square"], np.float32)
        self._steps = np.array(tables["steps"], np.int64)
        self._W, self._b, self._v = self._views(self._all)

    def _views(self, flat: Scores) -> tuple[Scores, Scores, NDArray[np.float32]]:
        """Return W, b and v as views of one array."""
        W, rest = flat[: -2 * self._hidden], flat[-2 * self._hidden :]
        return W.reshape(self._hidden, -1), rest[: self._hidden], rest[self._hidden :]


@compiled
def softsign(hidden: Any, b: Any) -> None:
    """Replace W x, shape (hidden, n), by y / (1 + |y|) of y = W x + b."""
    for h in range(hidden.shape[0]):
        row = hidden[h]
        for k in range(row.shape[0]):
            y = row[k] + b[h]
            row[k] = y / (np.float32(1) + abs(y))


@compiled
def softsign_gradient(hidden: Any, gradient: Any, v: Any, g_b: Any) -> None:
    """Replace the hidden layer by the gradient by W x + b, and write its sums; see `Network.step`."""
    for h in range(hidden.shape[0]):
        row = hidden[h]
        total = np.float32(0)
        for k in range(row.shape[0]):
            slope = np.float32(1) - abs(row[k])
            row[k] = v[h] * gradient[k] * slope * slope
        for k in range(row.shape[0]):
            total += row[k]
        g_b[h] = total


@compiled_alone
def adam(weights: Any, g: Any, scale: Any, mean: Any, square: Any, rate: Any, unbiased: Any) -> None:
    """Take one step of Adam.

    Args:
        weights, mean, square: parameters and their moments, changed; shape (n,), float32.
        g: gradient, shape (n,); scale: what to multiply it by.
        rate: step size, over the first moment's bias.
        unbiased: 1 over the second moment's bias.
    """
    for k in range(weights.shape[0]):
        d = g[k] * scale
        mean[k] += (np.float32(1) - _MEAN_DECAY) * (d - mean[k])
        square[k] += (np.float32(1) - _SQUARE_DECAY) * (d * d - square[k])
        weights[k] -= rate * mean[k] / (np.float32(np.sqrt(square[k] * unbiased)) + _TINY)


@compiled
def inputs(logs: Any, context: Any, n: Any, scale: Any, first: int, last: int) -> Any:
    """Return the network's inputs, shape (F + K, (last - first) * C): features, context, standardised; 0 beyond n."""
    F, _, C = logs.shape
    K = context.shape[1]
    X = np.zeros((F + K, (last - first) * C), np.float32)
    for f in range(F + K):
        inverse = np.float32(1) / (np.float32(np.sqrt(scale[2, f])) + np.float32(0.1))
        for e in range(first, last):
            out = X[f, (e - first) * C : (e - first) * C + n[e]]
            if f < F:
                row = logs[f, e]
                for c in range(n[e]):
                    out[c] = max(np.float32(-_CLIP), min(np.float32(_CLIP), (row[c] - scale[1, f]) * inverse))
            else:
                out[:] = max(np.float32(-_CLIP), min(np.float32(_CLIP), (context[e, f - F] - scale[1, f]) * inverse))
    return X


@compiled
def learn_scale(logs: Any, context: Any, n: Any, at: Any, scale: Any, first: int, last: int) -> None:
    """Follow mean and variance of each input over the newest _STEADY events."""
    F = logs.shape[0]
    for e in range(first, last):
        if at[e] < 0:
            continue
        for f in range(scale.shape[1]):
            scale[0, f] = min(scale[0, f] + np.float32(1), np.float32(_STEADY))
            mean = np.float32(0)
            square = np.float32(0)
            if f < F:
                row = logs[f, e, : n[e]]
                for c in range(n[e]):
                    d = row[c] - scale[1, f]
                    mean += d
                    square += d * d
                mean /= np.float32(n[e])
                square /= np.float32(n[e])
            else:
                mean = context[e, f - F] - scale[1, f]
                square = mean * mean
            scale[1, f] += mean / scale[0, f]
            scale[2, f] += (square - scale[2, f]) / scale[0, f]
