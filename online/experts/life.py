"""The life of an item: how long ago it was first and last consumed by anybody, and whether it ever was."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column, Kernels, register
from online.kernels import log_row
from state.tables import Tables

_NEVER = -1


class LifeState(NamedTuple):
    """Arrays of one batch: number of each item's first and newest event, shape (N,); events so far, shape (1,)."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    events: NDArray[np.int64]


class ItemLife:
    """log(1 + events since the item's first), the same since its newest, and a flag of items that had none.

    Time is counted in events, so that a busy log and a quiet one look alike. Source: docs/quality.md, B2.
    """

    def __init__(self, base: Scores) -> None:
        self.name = "item_life"
        self.columns: tuple[Column, ...] = (
            Column("item_age", False),
            Column("item_idle", False),
            Column("item_new", False),
        )
        self._first = np.full(len(base), _NEVER, np.int64)
        self._last = self._first.copy()
        self._events = np.zeros(1, np.int64)

    def prepare(self, batch: Batch) -> LifeState:
        """See `Signal`."""
        return LifeState(self._first, self._last, self._events)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        more = np.full(len(base) - len(self._first), _NEVER, np.int64)
        self._first, self._last = np.append(self._first, more), np.append(self._last, more)

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; a life knows no text."""

    def tables(self) -> Tables:
        """See `Signal`."""
        return {"first": self._first, "last": self._last, "events": self._events}

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._first, self._last, self._events = (np.array(tables[x], np.int64) for x in ("first", "last", "events"))


@compiled
def describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`; of an item that had no event both times are since the start."""
    n, events = item.shape[0], s.events[0]
    age, idle = np.empty(n, np.float32), np.empty(n, np.float32)
    for c in range(n):
        j = item[c]
        new = s.first[j] == _NEVER
        age[c] = np.float32(1 + events - (0 if new else s.first[j]))
        idle[c] = np.float32(1 + events - (0 if new else s.last[j]))
        out[2, c] = np.float32(new)
    log_row(age, out[0])
    log_row(idle, out[1])


@compiled
def learn(s: Any, event: Any) -> None:
    """See `Kernels`; repeats count too."""
    j = event.target
    if s.first[j] == _NEVER:
        s.first[j] = s.events[0]
    s.last[j] = s.events[0]
    s.events[0] += 1


register(LifeState, Kernels(3, None, describe, learn))
