"""The mixture of the experts: what each says relative to the candidates, and weights that follow who was right."""

from typing import Any

import numpy as np

from online.compiled import compiled
from online.kernels import log_row, softmax_row

_SHARE = 0.001  # of an expert's weight that is spread over all at each event


@compiled
def describe(
    feature: Any, n: Any, at: Any, mixed: Any, by_past: Any, mixture: Any, first: int, last: int, logs: Any,
    context: Any, target_p: Any,
) -> None:  # fmt: skip
    """Write the features relative to the candidates, the mixture's logarithm, and how sure each expert is.

    Args:
        feature, n, at: see `Candidates`.
        mixed: rows of `feature` that are log probabilities, shape (M,).
        by_past: row of `mixture` of each event, shape (B,).
        mixture: weights, shape (rows, M).
        first, last: the events to look at.
        logs: shape (F + 1, B, C), float32, written.
        context: log probability of each expert's best candidate from column 2 on, shape (B, 2 + M), written.
        target_p: probability of the target by each expert, shape (B, M), written.
    """
    F, M = feature.shape[0], len(mixed)
    C = feature.shape[2]
    p, mix, powers = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.int32)
    powers_as_float = powers.view(np.float32)
    best = np.empty(M, np.float32)
    log_best = np.empty(M, np.float32)
    for e in range(first, last):
        m = n[e]
        if m == 0:
            context[e, 2:] = np.float32(0)
            continue
        mix[:m] = np.float32(0)
        for x in range(M):
            row = feature[mixed[x], e, :m]
            softmax_row(row, row.max(), p[:m], powers[:m], powers_as_float[:m])
            weight = mixture[by_past[e], x]
            for c in range(m):
                mix[c] += weight * p[c]
            best[x] = p[:m].max()
            if at[e] >= 0:
                target_p[e, x] = p[at[e]]
        log_row(best, log_best)
        log_row(mix[:m], logs[F, e])
        for f in range(F):
            for c in range(m):
                logs[f, e, c] = feature[f, e, c]
        for x in range(M):
            row = logs[mixed[x], e, :m]
            shift = log_best[x] - row.max()
            for c in range(m):
                row[c] += shift
            context[e, 2 + x] = log_best[x]


@compiled
def learn_mixture(target_p: Any, at: Any, by_past: Any, mixture: Any, rate: Any, first: int, last: int) -> None:
    """Multiply each expert's weight by exp(rate (its probability of the target over the mixture's - 1)), and share."""
    M = mixture.shape[1]
    for e in range(first, last):
        if at[e] < 0:
            continue
        weights = mixture[by_past[e]]
        p = np.float32(0)
        for x in range(M):
            p += weights[x] * target_p[e, x]
        total = np.float32(0)
        for x in range(M):
            step = min(np.float32(1), rate * (target_p[e, x] / p - np.float32(1)))
            weights[x] *= np.float32(1) + step + np.float32(0.5) * step * step  # exp, to the second order
            total += weights[x]
        for x in range(M):
            weights[x] = np.float32(1 - _SHARE) * weights[x] / total + np.float32(_SHARE / M)
