"""Quality over a whole run, in bounded memory: points of about equally many events, joined in pairs when too many."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import msgspec

from view.lines import MetricsLine
from view.store import CURVE, Entries, Store

K = 10  # of HR and NDCG
POINTS_MAX = 480
SHOWN_MAX = 160  # points of a drawing
_FIRST_SIZE = 25  # events of a point at the start
_WINDOW = (500, 10_000)  # events that a drawn point looks back on: a tenth of the run, between these
_GAIN = (0.0, *(1 / math.log2(rank + 1) for rank in range(1, K + 1)))


class Sums(msgspec.Struct, array_like=True, gc=False):
    """What one model reached in some events."""

    scored: int = 0
    hits: int = 0
    gain: float = 0.0

    def add(self, other: "Sums") -> None:
        """Add the sums of further events."""
        self.scored += other.scored
        self.hits += other.hits
        self.gain += other.gain


class Point(msgspec.Struct, array_like=True, gc=False):
    """Some consecutive events."""

    events: int
    tick: int  # the last
    covered: float  # share of the catalogue in newest lists at its end
    models: dict[str, Sums]

    def add(self, other: "Point") -> None:
        """Append later events."""
        self.events += other.events
        self.tick, self.covered = other.tick, other.covered
        for model, sums in other.models.items():
            self.models.setdefault(model, Sums()).add(sums)


_ENCODER = msgspec.msgpack.Encoder()
_POINT = msgspec.msgpack.Decoder(Point)


class Curves:
    """The points of a run, in memory and on disk."""

    def __init__(self, store: Store) -> None:
        """Take up what is stored."""
        self._points = [_POINT.decode(value) for _, value in store.scan(CURVE)]
        self._changed: set[int] = set()
        self._stored = len(self._points)

    def add(self, line: MetricsLine, covered: float) -> None:
        """Add a tick's events; `covered`: the share of the catalogue that stands in newest lists."""
        if not line.accepted:
            return
        point = Point(line.accepted, line.tick, covered, {model: _sums(ranks) for model, ranks in line.ranks.items()})
        size = max(_FIRST_SIZE, sum(each.events for each in self._points) // (POINTS_MAX // 2))
        if self._points and self._points[-1].events < size:
            self._points[-1].add(point)
        else:
            self._points.append(point)
        self._changed.add(len(self._points) - 1)
        if len(self._points) > POINTS_MAX:
            for left, right in zip(self._points[::2], self._points[1::2], strict=False):
                left.add(right)
            self._points = self._points[::2]
            self._changed = set(range(len(self._points)))

    def cover(self, tick: int, covered: float) -> None:
        """Note the share of the catalogue in newest lists when those of `tick` are in; lists may come after metrics."""
        number = bisect_left(self._points, tick, key=lambda point: point.tick)
        if number < len(self._points):
            self._points[number].covered = covered
            self._changed.add(number)

    def drain(self) -> Entries:
        """Yield what has changed since the last call, to be stored."""
        for number in self._changed:
            yield CURVE + number.to_bytes(4, "big"), _ENCODER.encode(self._points[number])
        for number in range(len(self._points), self._stored):
            yield CURVE + number.to_bytes(4, "big"), None
        self._changed, self._stored = set(), len(self._points)

    def shown(self) -> dict[str, Any]:
        """Return each model's figures: of the whole run, of the newest window, and at points along the run."""
        total = sum(point.events for point in self._points)
        window = min(max(total // 10, _WINDOW[0]), _WINDOW[1])
        whole: dict[str, Sums] = {}
        before: list[dict[str, Sums]] = [{}]  # sums of all points before each
        at = [0]
        for point in self._points:
            for model, sums in point.models.items():
                whole.setdefault(model, Sums()).add(sums)
            at.append(at[-1] + point.events)
            before.append({model: Sums(s.scored, s.hits, s.gain) for model, s in whole.items()})
        step = max(1, math.ceil(len(self._points) / SHOWN_MAX))
        ends = list(range(len(self._points), 0, -step))[::-1]
        starts = _starts(at, ends, window)
        curves: dict[str, dict[str, list[float | None]]] = {}
        for model in sorted(whole):
            means = [
                _mean(before[end].get(model), before[start].get(model)) for start, end in zip(starts, ends, strict=True)
            ]
            curves[model] = {"hr@10": [hr for hr, _ in means], "ndcg@10": [ndcg for _, ndcg in means]}
        return {
            "events": total,
            "window": window,
            "at": [at[end] for end in ends],
            "tick": [self._points[end - 1].tick for end in ends],
            "covered": [round(self._points[end - 1].covered, 4) for end in ends],
            "models": {
                model: {
                    "whole": dict(zip(("hr@10", "ndcg@10"), _mean(sums, None), strict=True)),
                    **curves[model],
                }
                for model, sums in sorted(whole.items())
            },
        }


def _starts(at: Sequence[int], ends: Sequence[int], window: int) -> list[int]:
    """Return for each end the first point of its window."""
    starts, start = [], 0
    for end in ends:
        while at[end] - at[start + 1] >= window:
            start += 1
        starts.append(start)
    return starts


def _mean(upto: Sums | None, before: Sums | None) -> tuple[float | None, float | None]:
    upto, before = upto or Sums(), before or Sums()
    n = upto.scored - before.scored
    if n <= 0:
        return None, None
    return round((upto.hits - before.hits) / n, 5), round((upto.gain - before.gain) / n, 5)


def _sums(ranks: Sequence[int]) -> Sums:
    """Return the sums over ranks, of which 0 was not scored."""
    ranked = [rank for rank in ranks if rank]
    hits = [rank for rank in ranked if rank <= K]
    return Sums(len(ranked), len(hits), sum((_GAIN[rank] for rank in hits), 0.0))
