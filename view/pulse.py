"""The last ten minutes by the clock: events a second, how fresh lists are, and how far readers lag."""

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from view.arrivals import Lag

STEP_S = 5
STEPS = 120  # ten minutes
FRESH_STEPS = 12  # of the percentiles of now: the last minute
RATE_STEPS = 3  # of the rates of now
_RATIO = 1.05  # of two neighbouring bounds: a percentile is right to 5 %
_BOUNDS_MS = _RATIO ** np.arange(0, 360)  # 1 ms to 11 h
PERCENTILES = (50, 95, 99)


class Beat:
    """What came in one step."""

    def __init__(self, start_s: int) -> None:
        """Start empty at a Unix time that `STEP_S` divides."""
        self.start_s = start_s
        self.events = 0
        self.lists = 0
        self.fresh: NDArray[np.int64] = np.zeros(len(_BOUNDS_MS) + 1, np.int64)
        self.lag: Lag | None = None


class Pulse:
    """Steps of the clock; kept in memory alone, because a restart has not seen what came in between.

    Attributes:
        fresh: counts of all ages since the start, by `bounds_s`.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._beats: deque[Beat] = deque(maxlen=STEPS)
        self.fresh: NDArray[np.int64] = np.zeros(len(_BOUNDS_MS) + 1, np.int64)
        self.fresh_sum_ms = 0.0

    def events(self, count: int, now_ms: int) -> None:
        """Count events."""
        self._beat(now_ms).events += count

    def lists(self, count: int, now_ms: int) -> None:
        """Count lists."""
        self._beat(now_ms).lists += count

    def ages(self, event_ms: Iterable[int], now_ms: int) -> None:
        """Count the time from events to now, when what they led to can be read.

        An age beyond the last bound says that events carry times of the past, not that lists are late: it is left out.
        """
        ages = np.maximum(now_ms - np.array(list(event_ms), np.int64), 0)
        ages = ages[ages <= _BOUNDS_MS[-1]]
        counts = np.bincount(np.searchsorted(_BOUNDS_MS, ages), minlength=len(_BOUNDS_MS) + 1)
        self._beat(now_ms).fresh += counts
        self.fresh += counts
        self.fresh_sum_ms += float(ages.sum())

    def lag(self, lag: Lag, now_ms: int) -> None:
        """Note how far readers lag."""
        self._beat(now_ms).lag = lag

    def shown(self, now_ms: int) -> dict[str, Any]:
        """Return the figures of the last minute and the curves of the last ten."""
        now_s = now_ms // 1000
        beats = [beat for beat in self._beats if beat.start_s > now_s - STEP_S * STEPS]
        done = [beat for beat in beats if beat.start_s + STEP_S <= now_s]  # the one at hand is not full yet
        fresh = sum((beat.fresh for beat in done[-FRESH_STEPS:]), np.zeros(len(_BOUNDS_MS) + 1, np.int64))
        lags = [beat.lag for beat in beats if beat.lag]
        return {
            "step_s": STEP_S,
            "at_s": [beat.start_s for beat in done],
            "events_per_s": [round(beat.events / STEP_S, 1) for beat in done],
            "lists_per_s": [round(beat.lists / STEP_S, 1) for beat in done],
            "fresh_ms": {f"p{p}": [percentile(beat.fresh, p) for beat in done] for p in PERCENTILES},
            "job_lag": [beat.lag.job if beat.lag else None for beat in done],
            "now": {
                "events_per_s": _rate([beat.events for beat in done]),
                "lists_per_s": _rate([beat.lists for beat in done]),
                "fresh_ms": {f"p{p}": percentile(fresh, p) for p in PERCENTILES},
                "job_lag": lags[-1].job if lags else None,
                "view_lag": lags[-1].view if lags else None,
            },
        }

    def _beat(self, now_ms: int) -> Beat:
        start_s = now_ms // 1000 // STEP_S * STEP_S
        if not self._beats or self._beats[-1].start_s < start_s:
            first = self._beats[-1].start_s + STEP_S if self._beats else start_s
            for missed in range(
                max(first, start_s - STEPS * STEP_S), start_s, STEP_S
            ):  # a step without records is one too
                self._beats.append(Beat(missed))
            self._beats.append(Beat(start_s))
        return self._beats[-1]


def _rate(counts: list[int]) -> float:
    """Return how many came a second in the newest full steps."""
    newest = counts[-RATE_STEPS:]
    return round(sum(newest) / (STEP_S * len(newest)), 1) if newest else 0.0


def percentile(counts: NDArray[np.int64], p: int) -> float | None:
    """Return the age in ms below which `p` % lie, None where there are none."""
    total = int(counts.sum())
    if not total:
        return None
    place = int(np.searchsorted(np.cumsum(counts), total * p / 100))
    return round(float(_BOUNDS_MS[min(place, len(_BOUNDS_MS) - 1)]), 1)


def cumulative(counts: NDArray[np.int64], bounds_s: Iterable[float]) -> list[int]:
    """Return how many ages lie at or below each bound."""
    sums = np.cumsum(counts)
    return [int(sums[min(int(np.searchsorted(_BOUNDS_MS, bound * 1000)), len(sums) - 1)]) for bound in bounds_s]
