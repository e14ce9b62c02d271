"""The user's own past: what this user takes again, how lately, and what followed the newest items here before."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column
from online.kernels import log_row
from online.sparse import SparseScores, take_shown
from state.tables import Tables


class _OwnPast:
    """An expert that reads users' pasts, which the batch carries, and learns nothing itself."""

    def learn(self, batch: Batch) -> None:
        """See `Expert`; the users' pasts advance by themselves."""

    def grow(self, base: Scores) -> None:
        """See `Expert`."""

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; own pasts know no text."""

    def tables(self) -> Tables:
        """See `Expert`; the pasts are the users' states."""
        return {}

    def load(self, tables: Tables) -> None:
        """See `Expert`."""


class OwnItems(_OwnPast):
    """What the user had, each time weighted by 1 / (1 + baskets since); and how often, and how lately, as features."""

    def __init__(self) -> None:
        self.name = "own_items"
        self.columns: tuple[Column, ...] = (
            Column("own_items", True),
            Column("own_count", False),
            Column("own_recency", False),
        )
        self._scores = SparseScores(0)

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        self._scores = scores = SparseScores(len(batch.target))
        scores.ids, scores.values = own_items(
            batch.own, batch.own_basket, batch.own_from, batch.own_to, batch.basket, batch.seen, batch.seen_from,
            batch.open, scores.start,
        )  # fmt: skip
        scores.select(batch, np.float32(0), item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`: log share of the weights; log(1 + times); 1 / (1 + baskets since the last time), 0 if never."""
        self._scores.mass_features(batch, item, n, out[0])
        own_counts(
            batch.own, batch.own_basket, batch.own_from, batch.own_to, batch.basket, len(batch.open), item, n, out[1],
            out[2],
        )  # fmt: skip


class OwnSequence(_OwnPast):
    """What stood next to the user's two newest items where they stood in the user's past before.

    Source: docs/quality.md, B2 (own sequence).
    """

    def __init__(self) -> None:
        self.name = "own_sequence"
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True),)
        self._scores = SparseScores(0)

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        self._scores = scores = SparseScores(len(batch.target))
        scores.ids, scores.values = own_votes(
            batch.own, batch.own_from, batch.own_to, batch.seen, batch.seen_from, batch.open, scores.start
        )
        scores.select(batch, np.float32(0), item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`."""
        self._scores.mass_features(batch, item, n, out[0])


@compiled
def own_items(
    own: Any, own_basket: Any, own_from: Any, own_to: Any, basket: Any, seen: Any, seen_from: Any, open_: Any,
    start: Any,
) -> Any:  # fmt: skip
    """Return (ids, values): the sum over the times an item was had of 1 / (1 + baskets since), of what may be shown.

    Args:
        own, own_basket, own_from, own_to, basket, seen, seen_from, open_: see `Batch`.
        start: event e's part of the result is from start[e] to start[e + 1]; shape (B + 1,), written.
    """
    B = own_from.shape[0]
    ids = np.empty((own_to - own_from).sum() + 1, np.int32)
    values = np.empty(len(ids), np.float32)
    sums = np.zeros(open_.shape[0], np.float32)  # of the event at hand
    hidden = open_ == 0
    used = 0
    for e in range(B):
        start[e] = used
        for k in range(own_from[e], own_to[e]):
            j = own[k]
            ids[used] = j  # without a branch: what is there already is overwritten
            used += int(sums[j] == 0)
            sums[j] += np.float32(1) / np.float32(1 + basket[e] - own_basket[k])
        used = take_shown(ids, values, sums, hidden, seen[seen_from[e] : seen_from[e + 1]], open_, start[e], used)
    start[B] = used
    return ids[:used], values[:used]


@compiled
def own_counts(
    own: Any, own_basket: Any, own_from: Any, own_to: Any, basket: Any, items: int, item: Any, n: Any, count: Any,
    recency: Any,
) -> None:  # fmt: skip
    """Write log(1 + times) and 1 / (1 + baskets since the last time) of candidates, both 0 for what was never had.

    Args:
        own, own_basket, own_from, own_to, basket: see `Batch`.
        items: N.
        item, n: candidates, shape (B, C) and (B,).
        count, recency: shape (B, C), float32, written.
    """
    times = np.zeros(items, np.int32)  # of the event at hand
    last = np.zeros(items, np.int32)
    more = np.empty(item.shape[1], np.float32)
    for e in range(len(n)):
        for k in range(own_from[e], own_to[e]):
            times[own[k]] += 1
            last[own[k]] = own_basket[k]
        for c in range(n[e]):
            j = item[e, c]
            more[c] = np.float32(1 + times[j])
            recency[e, c] = np.float32(1) / np.float32(1 + basket[e] - last[j]) if times[j] else np.float32(0)
        log_row(more[: n[e]], count[e])
        for k in range(own_from[e], own_to[e]):
            times[own[k]] = 0


@compiled
def own_votes(own: Any, own_from: Any, own_to: Any, seen: Any, seen_from: Any, open_: Any, start: Any) -> Any:
    """Return (ids, values): votes of the user's past for what stands beside the newest two items.

    Each earlier place of the newest item votes 1, 1/2 and 1/3 for the three items after it and .4 for the one before;
    the item before the newest has .4 of these votes.

    Args:
        own, own_from, own_to, seen, seen_from, open_: see `Batch`.
        start: event e's part of the result is from start[e] to start[e + 1]; shape (B + 1,), written.
    """
    B = own_from.shape[0]
    ids = np.empty(4 * (own_to - own_from).sum() + 1, np.int32)
    values = np.empty(len(ids), np.float32)
    sums = np.zeros(open_.shape[0], np.float32)  # of the event at hand
    hidden = open_ == 0
    used = 0
    for e in range(B):
        start[e] = used
        first, end = own_from[e], own_to[e]
        newest = own[end - 1] if end > first else -1
        before = own[end - 2] if end > first + 1 else -1
        for k in range(first, end - 1):
            if own[k] != newest and own[k] != before:
                continue
            weight = np.float32(1) if own[k] == newest else np.float32(0.4)
            for place in range(max(first, k - 1), min(end, k + 4)):
                if place == k:
                    continue
                j = own[place]
                ids[used] = j
                used += int(sums[j] == 0)
                sums[j] += weight * (np.float32(0.4) if place < k else np.float32(1) / np.float32(place - k))
        used = take_shown(ids, values, sums, hidden, seen[seen_from[e] : seen_from[e + 1]], open_, start[e], used)
    start[B] = used
    return ids[:used], values[:used]
