"""Exact top lists and ranks, and features of candidates: of dense rows, of sparse rows, of one row that all share.

`B` events, `N` items, `K` items put forward per event, `C` candidates. Ranks count ties against the target; 0 means not
scored, UNRANKED no score. A score that an event may not use is MASKED (dense) or left out (sparse).
"""

from typing import Any

import numpy as np

from online.compiled import compiled, compiled_long
from online.kernels import MASKED, UNRANKED, log_row, mass_of, rank_of, top_items

FLOOR = 0.1  # a mass is spread this much over the catalogue, so that an item without a score has a finite log
_MARGIN = 256  # items kept of a shared top list beyond K, at most: a user with more excluded costs a scan


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
def select_sparse(
    ids: Any, values: Any, start: Any, dense: Any, target: Any, scored: Any, above: Any, item: Any, rank: Any, mass: Any
) -> None:
    """Write each event's best items, the target's rank and the sum of the positive scores.

    Args:
        ids, values, start, dense: see `SparseScores`.
        above: scores up to this are none; 0 where an event is dense.
        target, scored, item, rank: as of `select_dense`.
        mass: shape (B,), float32.
    """
    score = np.empty(item.shape[1], np.float32)
    place = np.empty(item.shape[1], np.int32)
    for e in range(target.shape[0]):
        row, row_ids = values[start[e] : start[e + 1]], ids[start[e] : start[e + 1]]
        n = top_items(row, above, score, place) if len(row) else 0
        if dense[e]:
            rank[e] = 0 if not scored[e] else rank_of(row, target[e]) if row[target[e]] > above else UNRANKED
            for k in range(n):
                item[e, k] = place[k]
        else:
            rank[e] = _rank_sparse(row, row_ids, target[e], above) if scored[e] else 0
            for k in range(n):
                item[e, k] = row_ids[place[k]]
        for k in range(n, item.shape[1]):
            item[e, k] = -1
        mass[e] = mass_of(row)


@compiled
def _rank_sparse(row: Any, ids: Any, target: int, above: Any) -> int:
    for k in range(len(ids)):
        if ids[k] == target and row[k] > above:
            return rank_of(row, k)  # type: ignore[no-any-return]
    return UNRANKED


@compiled
def open_masses(counts: Any, scale: float, open_: Any) -> Any:
    """Return counts * scale, shape (N,), float32, masked where an item is not open."""
    row = np.empty(counts.shape[0], np.float32)
    for j in range(row.shape[0]):
        row[j] = np.float32(counts[j] * scale) if open_[j] else MASKED
    return row


@compiled
def select_shared(row: Any, seen: Any, seen_from: Any, target: Any, scored: Any, item: Any, rank: Any) -> None:
    """Write each event's best items of a row of masses that holds for all events, and the target's rank.

    Args:
        row: masses, items that nobody may be shown masked; shape (N,), float32.
        seen, seen_from: see `Batch`.
        target, scored, item, rank: as of `select_dense`.
    """
    B, K = item.shape
    N = row.shape[0]
    most = 0
    for e in range(B):
        most = max(most, seen_from[e + 1] - seen_from[e])
    wide = min(N, K + min(most, _MARGIN))
    best = _ordered_top(row, wide)
    blocked = np.zeros(N, np.bool_)
    for e in range(B):
        excluded = seen[seen_from[e] : seen_from[e + 1]]
        for j in excluded:
            blocked[j] = True
        rank[e] = _rank_shared(row, target[e], excluded) if scored[e] else 0
        found = best
        if len(excluded) > wide - K and len(best) == wide:  # perhaps too few of them are left
            rest = row.copy()
            rest[excluded] = MASKED
            found = _ordered_top(rest, K)
        n = 0
        for j in found:
            if n == K:
                break
            item[e, n] = j
            n += int(not blocked[j])
        for k in range(n, K):
            item[e, k] = -1
        for j in excluded:
            blocked[j] = False


@compiled
def _ordered_top(row: Any, keep: int) -> Any:
    """Return the best items with a mass, best first, of equal masses the lower row first."""
    score, item = np.empty(keep, np.float32), np.empty(keep, np.int32)
    rows = np.sort(item[: top_items(row, np.float32(0), score, item)])
    return rows[np.argsort(-row[rows], kind="mergesort")]


@compiled
def _rank_shared(row: Any, target: int, excluded: Any) -> int:
    """Return the target's rank in a row that holds for all events, without the event's excluded items."""
    bound = row[target]
    if bound <= 0:
        return UNRANKED
    rank = rank_of(row, target)
    for j in excluded:
        rank -= int(j != target and row[j] >= bound)
    return int(rank)


@compiled
def gap_features(scores: Any, top: Any, item: Any, n: Any, out: Any) -> None:
    """Write logits less the event's best one: the log probability up to a constant per event.

    Args:
        scores: dense, shape (B, N); top: shape (B,); see `select_dense`.
        item, n: candidates, shape (B, C) and (B,); columns beyond n[e] are not read.
        out: shape (B, C), float32.
    """
    for e in range(item.shape[0]):
        for c in range(n[e]):
            out[e, c] = scores[e, item[e, c]] - top[e]


@compiled
def sparse_mass_features(
    ids: Any, values: Any, start: Any, dense: Any, mass: Any, items: int, item: Any, n: Any, out: Any
) -> None:
    """Write the log of each candidate's share of the event's mass, FLOOR spread over the catalogue of `items` rows.

    The other arguments are those of `select_sparse` and `gap_features`.
    """
    floor = np.float32(FLOOR / items)
    scratch = np.zeros(items, np.float32)
    share = np.empty(item.shape[1], np.float32)
    for e in range(item.shape[0]):
        row = values[start[e] : start[e + 1]] if dense[e] else scratch
        if not dense[e]:
            for k in range(start[e], start[e + 1]):
                row[ids[k]] = values[k]
        inverse = np.float32(1) / mass[e] if mass[e] > 0 else np.float32(0)
        for c in range(n[e]):
            share[c] = row[item[e, c]] * inverse + floor
        log_row(share[: n[e]], out[e])
        if not dense[e]:
            for k in range(start[e], start[e + 1]):
                row[ids[k]] = 0


@compiled
def shared_mass_features(row: Any, item: Any, n: Any, out: Any) -> None:
    """Write the log of each candidate's share of the mass in a row that holds for all events, with the same floor."""
    N = row.shape[0]
    floor = np.float32(FLOOR / N)
    mass = mass_of(row)
    inverse = np.float32(1) / mass if mass > 0 else np.float32(0)
    share = np.empty(item.shape[1], np.float32)
    for e in range(item.shape[0]):
        for c in range(n[e]):
            share[c] = max(row[item[e, c]], np.float32(0)) * inverse + floor
        log_row(share[: n[e]], out[e])
