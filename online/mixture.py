"""The mixture of the experts: what each says relative to the candidates, and weights that follow who was right."""

from typing import Any

import numpy as np

from online.compiled import compiled
from online.kernels import log_row, softmax_row

_SHARE = 0.001  # of an expert's weight that is spread over all at each event


@compiled
def mix(logs: Any, mixed: Any, weights: Any, at: int, sure: Any, target_p: Any) -> None:
    """Take the features relative to the candidates, and add the mixture's logarithm, and how sure each expert is.

    Args:
        logs: features of an event's candidates, shape (F + 1, n), float32; log probabilities are shifted, and the
            mixture's logarithm is written to the last row.
        mixed: rows of `logs` that are log probabilities, shape (M,).
        weights: of the mixture, shape (M,).
        at: column of the target, -1 where it is none.
        sure: log probability of each expert's best candidate, shape (M,), written.
        target_p: probability of the target by each expert, shape (M,), written if there is one.
    """
    M, n = len(mixed), logs.shape[1]
    p, mixture, powers = np.empty(n, np.float32), np.zeros(n, np.float32), np.empty(n, np.int32)
    powers_as_float = powers.view(np.float32)
    best = np.empty(M, np.float32)
    for x in range(M):
        row = logs[mixed[x]]
        softmax_row(row, row.max(), p, powers, powers_as_float)
        for c in range(n):
            mixture[c] += weights[x] * p[c]
        best[x] = p.max()
        if at >= 0:
            target_p[x] = p[at]
    log_row(best, sure)
    log_row(mixture, logs[-1])
    for x in range(M):
        row = logs[mixed[x]]
        shift = sure[x] - row.max()
        for c in range(n):
            row[c] += shift


@compiled
def learn_mixture(target_p: Any, weights: Any, rate: Any) -> None:
    """Multiply each expert's weight by exp(rate (its probability of the target over the mixture's - 1)), and share."""
    M = len(weights)
    p = np.float32(0)
    for x in range(M):
        p += weights[x] * target_p[x]
    total = np.float32(0)
    for x in range(M):
        step = min(np.float32(1), rate * (target_p[x] / p - np.float32(1)))
        weights[x] *= np.float32(1) + step + np.float32(0.5) * step * step  # exp, to the second order
        total += weights[x]
    for x in range(M):
        weights[x] = np.float32(1 - _SHARE) * weights[x] / total + np.float32(_SHARE / M)
