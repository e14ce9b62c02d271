"""The user's own past: what this user takes again, how lately, and what followed the newest items here before."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column, Kernels, register
from online.kernels import log_row
from online.selection import Sums, choose, clear, log_shares, new_sums
from state.tables import Tables


class _OwnPast:
    """An expert that reads users' pasts, which the batch carries, and learns nothing itself."""

    def __init__(self, base: Scores) -> None:
        self.grow(base)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._sums = new_sums(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; own pasts know no text."""

    def tables(self) -> Tables:
        """See `Signal`; the pasts are the users' states."""
        return {}

    def load(self, tables: Tables) -> None:
        """See `Signal`."""


class OwnItemsState(NamedTuple):
    """Arrays of one batch; `times` and `last` are scratch, shape (N,): how often had, 0, and in which basket last."""

    sums: Sums
    times: NDArray[np.int32]
    last: NDArray[np.int32]


class OwnItems(_OwnPast):
    """What the user had, each time weighted by 1 / (1 + baskets since); and how often, and how lately, as features."""

    name = "own_items"
    columns: tuple[Column, ...] = (
        Column("own_items", True),
        Column("own_count", False),
        Column("own_recency", False),
    )

    def prepare(self, batch: Batch) -> OwnItemsState:
        """See `Signal`."""
        return OwnItemsState(self._sums, self._times, self._last)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        super().grow(base)
        self._times, self._last = np.zeros(len(base), np.int32), np.zeros(len(base), np.int32)


@compiled
def _nominate_items(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`."""
    clear(s.sums)
    sums, ids = s.sums.sums, s.sums.ids
    used = 0
    for k in range(event.own.shape[0]):
        j = event.own[k]
        ids[used] = j  # without a branch: what is there already is overwritten
        used += int(sums[j] == 0)
        sums[j] += np.float32(1) / np.float32(1 + event.basket - event.own_basket[k])
    return choose(s.sums, used, np.float32(0), event, top)  # type: ignore[no-any-return]


@compiled
def _describe_items(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`: log share of the weights; log(1 + times); 1 / (1 + baskets since the last time), 0 if never."""
    log_shares(s.sums, item, out[0])
    for k in range(event.own.shape[0]):
        s.times[event.own[k]] += 1
        s.last[event.own[k]] = event.own_basket[k]
    more = np.empty(item.shape[0], np.float32)
    for c in range(item.shape[0]):
        j = item[c]
        more[c] = np.float32(1 + s.times[j])
        out[2, c] = np.float32(1) / np.float32(1 + event.basket - s.last[j]) if s.times[j] else np.float32(0)
    log_row(more, out[1])
    for j in event.own:
        s.times[j] = 0


register(OwnItemsState, Kernels(3, _nominate_items, _describe_items, None))


class OwnSequenceState(NamedTuple):
    """Arrays of one batch."""

    sums: Sums


class OwnSequence(_OwnPast):
    """What stood next to the user's two newest items where they stood in the user's past before.

    Each earlier place of the newest item votes 1, 1/2 and 1/3 for the three items after it and .4 for the one before;
    the item before the newest has .4 of these votes. Source: docs/quality.md, B2 (own sequence).
    """

    name = "own_sequence"
    columns: tuple[Column, ...] = (Column(name, log_p=True),)

    def prepare(self, batch: Batch) -> OwnSequenceState:
        """See `Signal`."""
        return OwnSequenceState(self._sums)


@compiled
def _nominate_sequence(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`."""
    clear(s.sums)
    sums, ids, own = s.sums.sums, s.sums.ids, event.own
    end = own.shape[0]
    newest = own[end - 1] if end > 0 else -1
    before = own[end - 2] if end > 1 else -1
    used = 0
    for k in range(end - 1):
        if own[k] != newest and own[k] != before:
            continue
        weight = np.float32(1) if own[k] == newest else np.float32(0.4)
        for place in range(max(0, k - 1), min(end, k + 4)):
            if place == k:
                continue
            j = own[place]
            ids[used] = j
            used += int(sums[j] == 0)
            sums[j] += weight * (np.float32(0.4) if place < k else np.float32(1) / np.float32(place - k))
    return choose(s.sums, used, np.float32(0), event, top)  # type: ignore[no-any-return]


@compiled
def _describe_sequence(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`."""
    log_shares(s.sums, item, out[0])


register(OwnSequenceState, Kernels(1, _nominate_sequence, _describe_sequence, None))
