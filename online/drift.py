"""Drift: whether the loss of the newest events differs from that of those before, by ADWIN."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled
from online.kernels import log_row
from state.tables import Tables

DELTA = 0.002  # chance of a false alarm; this and all below are defaults of river
CLOCK = 32  # events between two checks
_BUCKETS = 5  # of one size; one more and the oldest two become one of the next size
_LEVELS = 48  # sizes 1, 2, 4, ...: more than any stream has events
_SHORTEST = 5  # events on either side of a cut
_GRACE = 10  # events before the first check


class Adwin:
    """Adaptive windowing: a window of values in exponential buckets that starts anew where two parts of it differ.

    The same alarms as `river.drift.ADWIN` with its defaults, by test; river keeps its window in objects that have no
    bytes to store, and a learner that restarts must go on to the bit.

    Source: Bifet, Gavalda 2007, "Learning from time-changing data with adaptive windowing".
    """

    def __init__(self) -> None:
        self._totals = np.zeros((_LEVELS, _BUCKETS + 1))
        self._sizes = np.zeros(_LEVELS, np.int64)  # buckets of each size
        self._window = np.zeros(2)  # sum, and sum of squared distances from the mean
        self._counts = np.zeros(4, np.int64)  # width, values since the start, alarms that the mean rose, fell

    @property
    def rises(self) -> int:
        """Return how often the mean was found to have risen."""
        return int(self._counts[2])

    @property
    def falls(self) -> int:
        """Return how often it was found to have fallen."""
        return int(self._counts[3])

    def update(self, values: NDArray[np.float64]) -> None:
        """Take values one after the other, shape (n,)."""
        _update(values, self._totals, self._sizes, self._window, self._counts)

    def tables(self) -> Tables:
        """Return all of it; views, not copies."""
        return {name: getattr(self, f"_{name}") for name in _TABLES}

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        for name, kind in _TABLES.items():
            setattr(self, f"_{name}", np.array(tables[name], kind))


_TABLES = {"totals": np.float64, "sizes": np.int64, "window": np.float64, "counts": np.int64}


def relative_losses(p: Scores, scored: NDArray[np.bool_], items: int) -> NDArray[np.float64]:
    """Return -ln p of the scored events over ln N: 0 = certain and right, 1 = no better than knowing nothing, or worse.

    Args:
        p: of each event's item, 0 where it was no candidate; shape (B,).
        scored: shape (B,).
        items: N.
    """
    chance = np.maximum(p[scored], np.float32(1 / items))
    logs, whole = np.empty_like(chance), np.empty(1, np.float32)
    log_row(chance, logs)  # the library's differs from host to host
    log_row(np.full(1, max(2, items), np.float32), whole)
    return np.minimum(-logs.astype(np.float64) / float(whole[0]), 1.0)


def quicken(squares: Scores, times: float, first: float) -> None:
    """Shrink Adagrad's accumulators, so that its steps are `times` as large, at most as large as with `first`."""
    squares /= np.float32(times) * np.float32(times)
    np.maximum(squares, np.float32(first), out=squares)


@compiled
def _update(values: Any, totals: Any, sizes: Any, window: Any, counts: Any) -> None:
    """Take values one after the other; see `Adwin`."""
    for value in values:
        _insert(value, totals, sizes, window, counts)
        counts[1] += 1
        if counts[1] % CLOCK or counts[0] <= _GRACE:
            continue
        change = _find_change(totals, sizes, window, counts[0])
        if change != 0:
            counts[2 if change > 0 else 3] += 1
            sizes[:] = 0
            window[:] = 0
            counts[:2] = 0


@compiled
def _insert(value: float, totals: Any, sizes: Any, window: Any, counts: Any) -> None:
    """Put a value in a bucket of its own, and unite the oldest two of a size that has too many."""
    totals[0, sizes[0]] = value
    sizes[0] += 1
    counts[0] += 1
    width = float(counts[0])
    if width > 1:
        before = value - window[0] / (width - 1)
        window[1] += (width - 1) * before * before / width
    window[0] += value
    level = 0
    while sizes[level] > _BUCKETS:
        totals[level + 1, sizes[level + 1]] = totals[level, 0] + totals[level, 1]
        sizes[level + 1] += 1
        for k in range(2, sizes[level]):
            totals[level, k - 2] = totals[level, k]
        sizes[level] -= 2
        level += 1


@compiled
def _find_change(totals: Any, sizes: Any, window: Any, width: int) -> int:
    """Return 1 where some newer part of the window has a clearly higher mean than the older, -1 a lower, else 0."""
    confidence = np.log(2 * np.log(float(width)) / DELTA)
    old, total = 0.0, 0.0
    for level in range(len(sizes) - 1, -1, -1):
        for k in range(sizes[level]):
            old += 2.0**level
            total += totals[level, k]
            new = width - old
            if old < _SHORTEST or new < _SHORTEST:
                continue
            inverse = 1.0 / (old - _SHORTEST + 1) + 1.0 / (new - _SHORTEST + 1)
            bound = np.sqrt(2 * inverse * window[1] / width * confidence) + 2 / 3 * confidence * inverse
            rise = (window[0] - total) / new - total / old
            if abs(rise) > bound:
                return 1 if rise > 0 else -1
    return 0
