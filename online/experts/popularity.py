"""Popularity: what everybody consumes, lately or ever."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.decayed import DecayedCounts
from online.experts.base import Column, Kernels, register
from online.kernels import LANES, UNRANKED, log_row
from online.selection import FLOOR
from state.tables import Tables

_WIDE = 281  # items of the common order: a user for whom too few are left costs a scan
_CLOSED = -1.0  # count of what is not open, while a batch passes


class PopularityState(NamedTuple):
    """Arrays of one batch; see `DecayedCounts`.

    Attributes:
        shown: `counts` of open items, others _CLOSED; shape (N,).
        order: the open items with the highest counts, highest first, of equal counts the lower row first, as many as
            have one and as there is room; shape (_WIDE,).
        size: how many; shape (1,).
        mass: sum of the counts of open items; shape (1,).
    """

    counts: NDArray[np.float64]
    weight: NDArray[np.float64]
    growth: float
    shown: NDArray[np.float64]
    order: NDArray[np.int32]
    size: NDArray[np.int64]
    mass: NDArray[np.float64]


class Popularity:
    """Count of events per item, where an event's weight halves every `half_life` later events.

    Source: docs/quality.md, D1.
    """

    def __init__(self, name: str, half_life: float, base: Scores) -> None:
        """Start empty; `half_life` in events, infinity = all time."""
        self.name = name
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True),)
        self._events = DecayedCounts(len(base), half_life)
        self._open = np.empty(0, np.uint8)  # of the batch before; empty: the order is to be made anew
        self._shown: NDArray[np.float64] = np.empty(0)
        self._order = np.empty(_WIDE, np.int32)
        self._size = np.zeros(1, np.int64)

    def prepare(self, batch: Batch) -> PopularityState:
        """See `Signal`."""
        events = self._events
        if events.rescale() or not np.array_equal(self._open, batch.open):
            self._open = batch.open.copy()
            self._shown = np.where(batch.open, events.counts, _CLOSED)
            self._size[0] = _in_order(self._shown, self._order)
        mass = np.array([_sum_open(self._shown)])  # anew, so that it is the same after a restart
        return PopularityState(events.counts, events.weight, events.growth, self._shown, self._order, self._size, mass)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._events.grow(len(base))
        self._open = np.empty(0, np.uint8)

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; popularity knows no text."""

    def tables(self) -> Tables:
        """See `Signal`."""
        return self._events.tables()

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._events.load(tables)
        self._open = np.empty(0, np.uint8)


@compiled
def _sum_open(shown: Any) -> float:
    lanes = np.zeros(LANES)  # partial sums, see `LANES`
    n = shown.shape[0]
    whole = n - n % LANES
    for j in range(0, whole, LANES):
        for x in range(LANES):
            lanes[x] += max(shown[j + x], 0.0)
    mass = 0.0
    for x in range(LANES):
        mass += lanes[x]
    for j in range(whole, n):
        mass += max(shown[j], 0.0)
    return mass


@compiled
def _in_order(shown: Any, order: Any) -> int:
    """Write the best rows with a count, best first, of equal counts the lower row first; return how many there are."""
    rows = np.flatnonzero(shown > 0)
    wide = order.shape[0]
    if len(rows) > wide:
        bound = np.partition(shown[rows], len(rows) - wide)[len(rows) - wide]
        rows = rows[shown[rows] >= bound]
    rows = rows[np.argsort(-shown[rows], kind="mergesort")][:wide]
    order[: len(rows)] = rows
    return len(rows)


@compiled
def nominate(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`."""
    size = s.size[0]
    n = _first_shown(s.order[:size], event.hidden, top)
    if n < top.shape[0] and size == s.order.shape[0]:  # perhaps too few of the common order are left
        rest = s.shown.copy()
        rest[event.excluded] = _CLOSED
        order = np.empty(top.shape[0], np.int32)
        n = _first_shown(order[: _in_order(rest, order)], event.hidden, top)
    top[n:] = -1
    return _rank(s.shown, event)  # type: ignore[no-any-return]


@compiled
def _first_shown(order: Any, hidden: Any, top: Any) -> int:
    n = 0
    for j in order:
        if n == top.shape[0]:
            break
        top[n] = j
        n += int(not hidden[j])
    return n


@compiled
def _rank(shown: Any, event: Any) -> int:
    if not event.scored:
        return 0
    bound = shown[event.target]
    if bound <= 0:
        return UNRANKED
    rank = 0
    for j in range(shown.shape[0]):
        rank += int(shown[j] >= bound)
    for j in event.excluded:
        rank -= int(shown[j] >= bound)
    return rank


@compiled
def describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`: the log of each candidate's share of the counts, FLOOR spread over the catalogue."""
    floor = np.float32(FLOOR / s.shown.shape[0])
    inverse = 1.0 / s.mass[0] if s.mass[0] > 0 else 0.0
    share = np.empty(item.shape[0], np.float32)
    for c in range(item.shape[0]):
        share[c] = np.float32(s.shown[item[c]] * inverse) + floor
    log_row(share, out[0])


@compiled
def learn(s: Any, event: Any) -> None:
    """See `Kernels`; repeats count too. Only this item's place in the order can change, and only upwards."""
    j, weight = event.target, s.weight[0]
    s.counts[j] += weight
    s.weight[0] *= s.growth
    if s.shown[j] == _CLOSED:
        return
    s.shown[j] += weight
    s.mass[0] += weight
    count, size = s.shown[j], s.size[0]
    at = 0
    while at < size and s.order[at] != j:
        at += 1
    if at == size:
        if size < s.order.shape[0]:
            s.size[0] += 1
        else:
            last = s.order[size - 1]
            if count < s.shown[last] or (count == s.shown[last] and j > last):
                return
            at = size - 1
    while at > 0:
        above = s.order[at - 1]
        if s.shown[above] > count or (s.shown[above] == count and above < j):
            break
        s.order[at] = above
        at -= 1
    s.order[at] = j


register(PopularityState, Kernels(1, nominate, describe, learn))
