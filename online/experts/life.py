"""The life of an item: how long ago it was first and last consumed by anybody, and whether it ever was."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column
from online.kernels import log_row
from state.tables import Tables

_NEVER = -1


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

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Signal`; of an item that had no event both times are since the start."""
        life_features(self._first, self._last, self._events[0], item, n, out)

    def learn(self, batch: Batch) -> None:
        """See `Signal`; repeats count too."""
        _live(batch.target, self._first, self._last, self._events)

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
        self._first, self._last, self._events = (np.asarray(tables[x], np.int64) for x in ("first", "last", "events"))


@compiled
def _live(targets: Any, first: Any, last: Any, events: Any) -> None:
    """Note the number of each event at its item."""
    for j in targets:
        if first[j] == _NEVER:
            first[j] = events[0]
        last[j] = events[0]
        events[0] += 1


@compiled
def life_features(first: Any, last: Any, events: int, item: Any, n: Any, out: Any) -> None:
    """Write log(1 + events since the first), since the last, and 1 where there was none.

    Args:
        first, last: numbers of events, _NEVER before the first; shape (N,), int64.
        events: so far.
        item, n: candidates, shape (B, C) and (B,).
        out: shape (3, B, C), float32.
    """
    age = np.empty(item.shape[1], np.float32)
    idle = np.empty(item.shape[1], np.float32)
    for e in range(item.shape[0]):
        for c in range(n[e]):
            j = item[e, c]
            new = first[j] == _NEVER
            age[c] = np.float32(1 + events - (0 if new else first[j]))
            idle[c] = np.float32(1 + events - (0 if new else last[j]))
            out[2, e, c] = np.float32(new)
        log_row(age[: n[e]], out[0, e])
        log_row(idle[: n[e]], out[1, e])
