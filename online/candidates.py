"""Candidates: the union of the experts' exact top lists, with each expert's log probability as a feature."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.kernels import MASKED, UNRANKED, mask_scores, mass_of, max_of, rank_of, top_items

FLOOR = 0.1  # a mass expert spreads this much over the catalogue, so that an item it never saw has a finite log
_MARGIN = 256  # items kept of a shared top list beyond `keep`: a user with more items excluded costs a scan
_FREE, _EXCLUDED = -1, -2


class Candidates(NamedTuple):
    """What the blend chooses from; columns beyond `n` are undefined. `E` experts, the shared ones first.

    Attributes:
        item: rows of the catalogue, shape (B, C), int32.
        feature: log probability by expert, for logits up to a constant per event, shape (B, C, E), float32.
        n: candidates per event, shape (B,), int32.
        at: column of the target, -1 where it is no candidate, shape (B,), int32.
        rank: the target's rank by each expert, ties against it; 0 not scored, UNRANKED without a score; shape (B, E).
    """

    item: NDArray[np.int32]
    feature: Scores
    n: NDArray[np.int32]
    at: NDArray[np.int32]
    rank: NDArray[np.int32]


def find_candidates(
    shared: Scores, own: Scores, is_mass: NDArray[np.bool_], keep: int, batch: Batch, closed: NDArray[np.int32]
) -> Candidates:
    """Rank the targets, and collect each expert's best `keep` items that the event may show.

    Args:
        shared: scores that hold for every event, shape (S, N), float32; closed items are masked in place.
        own: scores per event, shape (E - S, B, N), float32; what may not be shown is masked in place.
        is_mass: per expert, see `Expert.is_mass`; shape (E,).
        keep: items per expert.
        batch: the events.
        closed: rows that may be shown to nobody, shape (k,), int32.
    """
    E, N = len(shared) + len(own), shared.shape[1]
    B = len(batch.target)
    width = min(E * keep, N)
    found = Candidates(
        np.empty((B, width), np.int32),
        np.empty((B, width, E), np.float32),
        np.zeros(B, np.int32),
        np.full(B, -1, np.int32),
        np.zeros((B, E), np.int32),
    )
    shared[:, closed] = MASKED
    for scores in own:
        mask_scores(scores, batch.seen, batch.seen_from, batch.target, closed)
    _collect(
        shared, own, is_mass, min(keep, N), batch.seen, batch.seen_from, batch.target, batch.scored,
        np.float32(FLOOR / N), np.full(N, -1, np.int32), *found,
    )  # fmt: skip
    return found


@compiled
def _ordered_top(row: Any, above: Any, keep: int) -> Any:
    """Return the best items of `row` with a score > `above`, best first, of equal scores the lower row first."""
    score, item = np.empty(keep, np.float32), np.empty(keep, np.int32)
    n = top_items(row, above, score, item)
    return item[:n][np.argsort(-score[:n], kind="mergesort")]


@compiled
def _rank_shared(row: Any, target: int, excluded: Any) -> int:
    """Return the target's rank in a row that holds for all events, without the event's excluded items."""
    bound = row[target]
    rank = rank_of(row, target)
    if bound > MASKED:
        for j in excluded:
            rank -= int(j != target and row[j] >= bound)
    return int(rank)


@compiled
def _take(found: Any, n_found: int, keep: int, column: Any, item: Any, n: int) -> int:
    """Append up to `keep` items that are not excluded, where new, to the `n` candidates; return how many there are."""
    taken = 0
    for k in range(n_found):
        j = found[k]
        if column[j] == _EXCLUDED:
            continue
        if column[j] == _FREE:
            column[j] = n
            item[n] = j
            n += 1
        taken += 1
        if taken == keep:
            break
    return n


@compiled
def _log_mass(score: Any, mass: Any, floor: Any) -> Any:
    """Return log(score / mass + floor), where nothing is known log(floor)."""
    return np.float32(np.log(score / mass + floor if score > 0 and mass > 0 else floor))


@compiled
def _collect(
    shared: Any, own: Any, is_mass: Any, keep: int, seen: Any, seen_from: Any, target: Any, scored: Any, floor: Any,
    column: Any, item: Any, feature: Any, count: Any, at: Any, rank: Any,
) -> None:  # fmt: skip
    """Fill `Candidates`; `column` is scratch: _FREE, _EXCLUDED, or the item's column in the event at hand."""
    S, N = shared.shape
    wide = min(N, keep + _MARGIN)
    best = np.empty((S, wide), np.int32)
    n_best = np.empty(S, np.int64)
    norm = np.empty(S + own.shape[0], np.float32)
    known = np.zeros(N, np.bool_)  # items whose shared features are known, which are the same for all events
    shared_feature = np.empty((N, S), np.float32)
    top_score = np.empty(keep, np.float32)
    top_item = np.empty(keep, np.int32)
    nothing = np.float32(np.log(floor))
    for x in range(S):
        ordered = _ordered_top(shared[x], np.float32(0) if is_mass[x] else MASKED, wide)
        n_best[x] = len(ordered)
        best[x, : len(ordered)] = ordered
        norm[x] = mass_of(shared[x]) if is_mass[x] else max_of(shared[x])
    for e in range(target.shape[0]):
        excluded = seen[seen_from[e] : seen_from[e + 1]]
        t = target[e]
        for j in excluded:
            column[j] = _FREE if j == t else _EXCLUDED
        n = 0
        for x in range(S):
            row = shared[x]
            if scored[e]:
                rank[e, x] = UNRANKED if is_mass[x] and row[t] <= 0 else _rank_shared(row, t, excluded)
            found, n_found = best[x], n_best[x]
            if len(excluded) > wide - keep and n_found == wide:  # perhaps too few of them are left
                copy = row.copy()
                copy[excluded] = MASKED
                n_found = top_items(copy, np.float32(0) if is_mass[x] else MASKED, top_score, top_item)
                found = top_item
            n = _take(found, n_found, keep, column, item[e], n)
        for x in range(S, S + own.shape[0]):
            row = own[x - S, e]
            if scored[e]:
                rank[e, x] = UNRANKED if is_mass[x] and row[t] <= 0 else rank_of(row, t)
            norm[x] = mass_of(row) if is_mass[x] else max_of(row)
            n_found = top_items(row, np.float32(0) if is_mass[x] else MASKED, top_score, top_item)
            n = _take(top_item, n_found, keep, column, item[e], n)
        count[e] = n
        if scored[e]:
            at[e] = column[t]
        for c in range(n):
            j = item[e, c]
            if not known[j]:
                known[j] = True
                for x in range(S):
                    s = shared[x, j]
                    shared_feature[j, x] = _log_mass(s, norm[x], floor) if is_mass[x] else s - norm[x]
            for x in range(S):
                feature[e, c, x] = shared_feature[j, x]
            for x in range(S, S + own.shape[0]):
                s = own[x - S, e, j]
                if not is_mass[x]:
                    feature[e, c, x] = s - norm[x]
                else:
                    feature[e, c, x] = _log_mass(s, norm[x], floor) if s > 0 else nothing
            column[j] = _FREE
        for j in excluded:
            column[j] = _FREE
