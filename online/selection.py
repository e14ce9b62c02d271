"""Exact top lists and ranks, and features of candidates: of dense scores, and of an event's sums.

`B` events, `N` items, `K` items put forward per event, `n` candidates. Ranks count ties against the target; 0 means not
scored, UNRANKED no score. A score that an event may not use is MASKED (dense) or left out (sums).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled, compiled_long
from online.kernels import MASKED, UNRANKED, log_row, mass_of, rank_of, top_items

FLOOR = 0.1  # a mass is spread this much over the catalogue, so that an item without a score has a finite log
ALL = -1  # number of items with a sum, where all of `sums` is looked at


class Sums(NamedTuple):
    """One event's scores where most items have none: scratch of one expert, that never outlives the event.

    Attributes:
        sums: of each item, 0 for none, shape (N,), float32.
        ids, values: the items that have one, shape (N + 1,), int32, and room for their sums, shape (N,), float32.
        size: how many of `ids`, or ALL; shape (1,), int64.
        mass: sum of the positive values; shape (1,), float32.
    """

    sums: Scores
    ids: NDArray[np.int32]
    values: Scores
    size: NDArray[np.int64]
    mass: Scores


def new_sums(items: int) -> Sums:
    """Return the sums of an event that has none."""
    return Sums(
        np.zeros(items, np.float32), np.empty(items + 1, np.int32), np.empty(items, np.float32), np.zeros(1, np.int64),
        np.zeros(1, np.float32),
    )  # fmt: skip


@compiled_long
def select_dense(scores: Any, target: Any, scored: Any, item: Any, rank: Any, top: Any) -> None:
    """Write each event's best items, the target's rank and the best score.

    Args:
        scores: masked, shape (B, N), float32.
        target: rows, shape (B,); scored: shape (B,), bool.
        item: shape (B, K), int32, -1 beyond the last; rank: shape (B,), int32.
        top: shape (B,), float32, 0 where everything is masked.
    """
    score = np.empty(item.shape[1], np.float32)
    for e in range(scores.shape[0]):
        row = scores[e]
        rank[e] = rank_of(row, target[e]) if scored[e] else 0
        n = top_items(row, MASKED, score, item[e])
        top[e] = score[0] if n else np.float32(0)
        for k in range(1, n):
            top[e] = max(top[e], score[k])
        for k in range(n, item.shape[1]):
            item[e, k] = -1


@compiled
def clear(s: Any) -> None:
    """Forget the sums of the event before."""
    if s.size[0] == ALL:
        s.sums[:] = np.float32(0)
    for k in range(s.size[0]):
        s.sums[s.ids[k]] = np.float32(0)
    s.size[0] = 0


@compiled
def choose(s: Any, used: int, above: Any, event: Any, top: Any) -> int:
    """Write the event's best items of what was summed, and return the target's rank; see `Kernels`.

    Args:
        s: `Sums`.
        used: items of `s.ids` that have a sum, each once; ALL: any may have one, and sums are positive.
        above: sums up to this are none.
        event: see `Event`.
        top: shape (K,), written.
    """
    s.size[0] = used
    score = np.empty(top.shape[0], np.float32)
    rank = UNRANKED if event.scored else 0
    if used == ALL:
        row = s.values
        for j in range(row.shape[0]):
            row[j] = np.float32(0) if event.hidden[j] else s.sums[j]
        n = top_items(row, above, score, top)
        if event.scored and row[event.target] > above:
            rank = rank_of(row, event.target)
    else:
        shown = 0
        ids = np.empty(used, np.int32)
        at = -1
        for k in range(used):
            j = s.ids[k]
            ids[shown], s.values[shown] = j, s.sums[j]
            if j == event.target and not event.hidden[j]:
                at = shown
            shown += int(not event.hidden[j])
        row = s.values[:shown]
        n = top_items(row, above, score, top) if shown else 0
        if event.scored and at >= 0 and row[at] > above:
            rank = rank_of(row, at)
        for k in range(n):
            top[k] = ids[top[k]]
    top[n:] = -1
    s.mass[0] = mass_of(row)
    return rank


@compiled
def log_shares(s: Any, item: Any, out: Any) -> None:
    """Write the log of each candidate's share of the event's mass, FLOOR spread over the catalogue; shape (n,)."""
    floor = np.float32(FLOOR / s.sums.shape[0])
    share = np.empty(item.shape[0], np.float32)
    inverse = np.float32(1) / s.mass[0] if s.mass[0] > 0 else np.float32(0)
    for c in range(item.shape[0]):
        share[c] = s.sums[item[c]] * inverse + floor
    log_row(share, out)
