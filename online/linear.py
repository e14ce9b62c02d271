"""The linear part of the blend: weights by context that take an Adagrad step at every event."""

from typing import Any

import numpy as np

from online.compiled import compiled
from online.kernels import UNRANKED, rank_of, softmax_row

_CLIP = 5.0  # bound of one feature's gradient, so that one odd event moves little


@compiled
def score_linear(logs: Any, n: Any, bucket: Any, weights: Any, offset: Any, score: Any) -> None:
    """Write z of every candidate; `offset` is the network's part, shape (B * C,)."""
    C = logs.shape[2]
    total = np.empty(logs.shape[0], np.float32)
    for e in range(logs.shape[1]):
        z = score[e, : n[e]]
        z[:] = offset[e * C : e * C + n[e]]
        _total(weights, bucket[e], total)
        _add_weighted(logs, e, total, z)


@compiled
def learn_linear(
    logs: Any, n: Any, at: Any, scored: Any, bucket: Any, by_gap: Any, weights: Any, squares: Any, gap_weights: Any,
    gap_squares: Any, rate: Any, offset: Any, first: int, last: int, ranks: Any, chance: Any, gradient: Any,
) -> int:  # fmt: skip
    """Event by event: score the candidates, rank the target, and then take a step; return the number of steps.

    Args:
        logs: of `describe`; n, at: see `Candidates`; scored: see `Batch`.
        bucket, by_gap: of `_buckets`.
        weights, squares, gap_weights, gap_squares: changed.
        rate: Adagrad step.
        offset: the network's part of z, shape ((last - first) * C,).
        first, last: the events.
        ranks: shape (2, B), int32, written.
        chance: see `Blend.chance`, written.
        gradient: of the loss by z, shape ((last - first) * C,), written.
    """
    F, _, C = logs.shape
    total = np.empty(F, np.float32)
    score, p, powers = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.int32)
    powers_as_float = powers.view(np.float32)
    steps = 0
    for e in range(first, last):
        if not scored[e]:
            continue
        m = n[e]
        if m == 0:
            ranks[:, e] = UNRANKED
            continue
        z = score[:m]
        z[:] = offset[(e - first) * C : (e - first) * C + m]
        _total(weights, bucket[e], total)
        _add_weighted(logs, e, total, z)
        softmax_row(z, z.max(), p[:m], powers[:m], powers_as_float[:m])
        chance[1, e] = p[:m].max()
        if at[e] < 0:
            ranks[:, e] = UNRANKED
            continue
        ranks[0, e] = rank_of(z, at[e])
        chance[0, e] = p[at[e]]
        for c in range(m):
            gradient[(e - first) * C + c] = p[c]
        gradient[(e - first) * C + at[e]] -= np.float32(1)
        if rate > 0:
            _step(logs, e, p[:m], at[e], bucket[e], weights, squares, rate)
        rows = by_gap[e : e + 1]
        _total(gap_weights, rows, total)
        _add_weighted(logs, e, total, z)
        ranks[1, e] = rank_of(z, at[e])
        softmax_row(z, z.max(), p[:m], powers[:m], powers_as_float[:m])
        if rate > 0:
            _step(logs, e, p[:m], at[e], rows, gap_weights, gap_squares, rate)
        steps += 1
    return steps


@compiled
def _step(logs: Any, e: int, p: Any, at: int, rows: Any, weights: Any, squares: Any, rate: Any) -> None:
    """Take an Adagrad step on the rows of the weights; p: the candidates' probabilities, shape (n,)."""
    for f in range(logs.shape[0]):
        row = logs[f, e]
        g = np.float32(0)
        for c in range(p.shape[0]):
            g += p[c] * row[c]
        g -= row[at]
        g = max(np.float32(-_CLIP), min(np.float32(_CLIP), g))
        for b in rows:
            squares[b, f] += g * g
            weights[b, f] -= rate / np.float32(np.sqrt(squares[b, f])) * g


@compiled
def _total(weights: Any, rows: Any, total: Any) -> None:
    """Write the sum of some rows of the weights."""
    for f in range(total.shape[0]):
        total[f] = np.float32(0)
        for b in rows:
            total[f] += weights[b, f]


@compiled
def _add_weighted(logs: Any, e: int, total: Any, z: Any) -> None:
    """Add the weighted features of event e's candidates to z, shape (n,)."""
    for f in range(total.shape[0]):
        row = logs[f, e]
        for c in range(z.shape[0]):
            z[c] += total[f] * row[c]
