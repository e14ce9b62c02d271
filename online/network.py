"""A small network that adds to a linear score: one hidden layer, learned online by Adam."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled
from state.tables import Tables

_MEAN_DECAY = np.float32(0.9)
_SQUARE_DECAY = np.float32(0.999)
_TINY = np.float32(1e-6)
_CLIP = 5.0  # bound of a standardised input
_STEADY = 10_000  # events whose features the scales look back on


class NetworkState(NamedTuple):
    """s = v . softsign(W x + b), with x standardised.

    Attributes:
        all: W, b, v one after the other, shape (hidden * (inputs + 2),); mean, square: their moments.
        biases: what is left of the moments' start at 0: the powers of their decays; shape (2,).
        scale: events looked at, mean and variance of each input; shape (3, inputs).
        rate: Adam's step.
    """

    all: Scores
    mean: Scores
    square: Scores
    biases: NDArray[np.float64]
    scale: Scores
    rate: np.float32


class Network:
    """The state of a network that starts at 0 for every x, because v does.

    Source: docs/quality.md, B2 (24 hidden units); Kingma, Ba 2015, "Adam".
    """

    def __init__(self, inputs: int, hidden: int, rate: float, seed: int) -> None:
        """Start with random W; `rate` is Adam's step."""
        size = hidden * (inputs + 2)
        scale = np.zeros((3, inputs), np.float32)
        scale[2] = 1
        self.state = NetworkState(
            np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32), np.ones(2), scale,
            np.float32(rate),
        )  # fmt: skip
        W = np.random.default_rng(seed).normal(size=(hidden, inputs)) / np.sqrt(inputs)
        self.state.all[: W.size] = W.ravel()

    def tables(self) -> Tables:
        """Return all that was learned, Adam's moments included; views, not copies."""
        return {name: getattr(self.state, name) for name in _TABLES}

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        for name, table in self.tables().items():
            table[:] = tables[name]


_TABLES = ("all", "mean", "square", "biases", "scale")


@compiled
def inputs(logs: Any, context: Any, scale: Any) -> Any:
    """Return the inputs of an event's candidates, shape (F + K, n): features, context, standardised.

    Args:
        logs: features, shape (F, n), float32.
        context: of the event, shape (K,).
        scale: see `NetworkState`.
    """
    F, n = logs.shape
    X = np.empty((F + context.shape[0], n), np.float32)
    for f in range(X.shape[0]):
        inverse = np.float32(1) / (np.float32(np.sqrt(scale[2, f])) + np.float32(0.1))
        out, mean = X[f], scale[1, f]
        if f < F:
            row = logs[f]
            for c in range(n):
                out[c] = max(np.float32(-_CLIP), min(np.float32(_CLIP), (row[c] - mean) * inverse))
        else:
            out[:] = max(np.float32(-_CLIP), min(np.float32(_CLIP), (context[f - F] - mean) * inverse))
    return X


@compiled
def forward(s: Any, X: Any, z: Any) -> Any:
    """Write the scores of the columns of X, shape (inputs, n), to z, shape (n,); return the hidden layer."""
    W, b, v = _views(s.all, X.shape[0])
    hidden = np.dot(W, X)
    for h in range(hidden.shape[0]):
        row = hidden[h]
        for c in range(row.shape[0]):
            y = row[c] + b[h]
            row[c] = y / (np.float32(1) + abs(y))
    z[:] = np.dot(v, hidden)
    return hidden


@compiled
def step_network(s: Any, X: Any, hidden: Any, gradient: Any) -> None:
    """Take one step of Adam.

    Args:
        s: see `NetworkState`; changed.
        X, hidden: of `forward`; `hidden` is changed.
        gradient: of the loss by the scores, shape (n,).
    """
    g = np.empty_like(s.all)
    v = _views(s.all, X.shape[0])[2]
    g_W, g_b, g_v = _views(g, X.shape[0])
    g_v[:] = np.dot(hidden, gradient)
    for h in range(hidden.shape[0]):
        row = hidden[h]
        for c in range(row.shape[0]):
            slope = np.float32(1) - abs(row[c])
            row[c] = v[h] * gradient[c] * slope * slope
        g_b[h] = row.sum()
    np.dot(hidden, X.T, g_W)
    s.biases[0] *= _MEAN_DECAY
    s.biases[1] *= _SQUARE_DECAY
    _adam(s.all, g, s.mean, s.square, np.float32(s.rate / (1 - s.biases[0])), np.float32(1 / (1 - s.biases[1])))


@compiled
def learn_scale(logs: Any, context: Any, scale: Any) -> None:
    """Follow mean and variance of each input over the newest _STEADY events; arguments as of `inputs`."""
    F, n = logs.shape
    for f in range(scale.shape[1]):
        scale[0, f] = min(scale[0, f] + np.float32(1), np.float32(_STEADY))
        mean, square = np.float32(0), np.float32(0)
        if f < F:
            row = logs[f]
            for c in range(n):
                d = row[c] - scale[1, f]
                mean += d
                square += d * d
            mean /= np.float32(n)
            square /= np.float32(n)
        else:
            mean = context[f - F] - scale[1, f]
            square = mean * mean
        scale[1, f] += mean / scale[0, f]
        scale[2, f] += (square - scale[2, f]) / scale[0, f]


@compiled
def _views(flat: Any, inputs: int) -> Any:
    """Return W, b and v as views of one array."""
    hidden = flat.shape[0] // (inputs + 2)
    size = hidden * inputs
    return flat[:size].reshape(hidden, inputs), flat[size : size + hidden], flat[size + hidden :]


@compiled
def _adam(weights: Any, g: Any, mean: Any, square: Any, rate: Any, unbiased: Any) -> None:
    """Step all weights; rate: step size, over the first moment's bias; unbiased: 1 over the second moment's."""
    for k in range(weights.shape[0]):
        mean[k] += (np.float32(1) - _MEAN_DECAY) * (g[k] - mean[k])
        square[k] += (np.float32(1) - _SQUARE_DECAY) * (g[k] * g[k] - square[k])
        weights[k] -= rate * mean[k] / (np.float32(np.sqrt(square[k] * unbiased)) + _TINY)
