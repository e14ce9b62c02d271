"""The linear part of the blend: weights by context that take an Adagrad step at every event."""

from typing import Any

import numpy as np

from online.compiled import compiled

_CLIP = 5.0  # bound of one feature's gradient, so that one odd event moves little


@compiled
def add_linear(logs: Any, rows: Any, weights: Any, z: Any) -> None:
    """Add the features of an event's candidates, weighted by the sum of some rows of the weights.

    Args:
        logs: features, shape (F, n), float32.
        rows: of `weights`.
        weights: shape (buckets, F).
        z: shape (n,), changed.
    """
    for f in range(logs.shape[0]):
        weight = np.float32(0)
        for b in rows:
            weight += weights[b, f]
        row = logs[f]
        for c in range(z.shape[0]):
            z[c] += weight * row[c]


@compiled
def step_linear(logs: Any, p: Any, at: int, rows: Any, weights: Any, squares: Any, rate: Any) -> None:
    """Take an Adagrad step on some rows of the weights.

    Args:
        logs, rows, weights: of `add_linear`; weights are changed.
        p: the candidates' probabilities, shape (n,); at: the target's place among them.
        squares: accumulators, as the weights; changed.
        rate: step size.
    """
    for f in range(logs.shape[0]):
        row = logs[f]
        g = np.float32(0)
        for c in range(p.shape[0]):
            g += p[c] * row[c]
        g -= row[at]
        g = max(np.float32(-_CLIP), min(np.float32(_CLIP), g))
        for b in rows:
            squares[b, f] += g * g
            weights[b, f] -= rate / np.float32(np.sqrt(squares[b, f])) * g
