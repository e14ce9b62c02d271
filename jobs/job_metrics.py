"""What the running job tells of itself as Flink metrics: counters alone, which both modes and Prometheus take.

A gauge of PyFlink is asked by a thread of the JVM, which in thread mode would enter our interpreter; a distribution is
no number for Prometheus. So a level is a counter that is moved, and a duration or an age is a sum.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from online.learner import TickMetrics

GROUP = "headwater"
LE_MS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000)  # upper bounds of the histogram; "+Inf" comes on top
HIT = 10  # ranks that count as a hit

METRICS = {
    "records": "records that came out of the ticks, whatever became of them (Sessions)",
    "reason_dead_letters": "by `reason`: records and changes of the catalogue that could not be used",
    "users_at_hand_bytes": "states of users that Sessions keeps in memory beside Flink's state",
    "ticks": "ticks learned",
    "accepted": "events learned",
    "duplicates": "events dropped because their id was known",
    "lists": "lists made",
    "scored": "events that were ranked before they were learned",
    "model_hits_at_10": "by `model`: scored events among its ten best; over `scored` it is HR@10",
    "items": "items of the catalogue, retired ones included",
    "items_without_vector": "items that an event named and no vector came for: the encoder is behind, or down",
    "le_event_to_list": "histogram, cumulative by `le` in ms: age of each event when its list was made",
    "event_to_list_ms": "sum of the same",
    "stage_us": "by `stage`, sum: fold, store (Sessions, a share of a tick); learn, emit (Learner, a tick)",
}
"""Name -> what it counts, since the task started. In Prometheus PREFIX stands before it; Flink puts a label's name
before the metric's."""
PREFIX = f"flink_taskmanager_job_task_operator_{GROUP}_"


class Level:
    """A number that goes up and down."""

    def __init__(self, counter: Any) -> None:
        """Start at 0, as the counter does."""
        self._counter = counter
        self._value = 0

    def set(self, value: int) -> None:
        """Say how much it is now."""
        self._counter.inc(value - self._value)
        self._value = value


class Labelled:
    """Counters of one name, told apart by a label; each appears with its first use."""

    def __init__(self, group: Any, name: str, label: str) -> None:
        """Name them."""
        self._group = group
        self._name = name
        self._label = label
        self._counters: dict[str, Any] = {}

    def inc(self, value: str, n: int = 1) -> None:
        """Add to the counter of a label's value."""
        counter = self._counters.get(value)
        if counter is None:
            counter = self._group.add_group(self._label, value).counter(self._name)
            self._counters[value] = counter
        counter.inc(n)


class Stages:
    """How long the stages of an operator took."""

    def __init__(self, group: Any) -> None:
        """Count in a group."""
        self._us = Labelled(group, "us", "stage")

    def add(self, stage: str, us: int) -> None:
        """Add what a stage took."""
        self._us.inc(stage, us)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add what the block takes."""
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            self.add(stage, us_since(start))


def us_since(start_ns: int) -> int:
    """Return the microseconds since a time of `time.perf_counter_ns`."""
    return (time.perf_counter_ns() - start_ns) // 1000


class SessionsMetrics:
    """Of Sessions."""

    def __init__(self, runtime_context: Any) -> None:
        """Register them with Flink."""
        group = runtime_context.get_metrics_group().add_group(GROUP)
        self.records = group.counter("records")
        self.dead_letters = Labelled(group, "dead_letters", "reason")
        self.users_at_hand_bytes = Level(group.counter("users_at_hand_bytes"))
        self.stages = Stages(group)


class LateMetrics:
    """Of what comes too late."""

    def __init__(self, runtime_context: Any) -> None:
        """Register them with Flink."""
        group = runtime_context.get_metrics_group().add_group(GROUP)
        self.dead_letters = Labelled(group, "dead_letters", "reason")


class _Tick(NamedTuple):
    """What is to be counted of a tick."""

    metrics: TickMetrics
    without_vector: int
    made_ms: int  # Unix time at which its lists were made
    stage_us: dict[str, int]


class LearnerMetrics:
    """Of the Learner, which works in timers: what they count is lost in process mode, so the next element counts it."""

    def __init__(self, runtime_context: Any, clock: Callable[[], float] = time.time) -> None:
        """Register them with Flink.

        Args:
            runtime_context: of the operator.
            clock: Unix time, s.
        """
        group = runtime_context.get_metrics_group().add_group(GROUP)
        self.dead_letters = Labelled(group, "dead_letters", "reason")
        self._stages = Stages(group)
        self._clock = clock
        self._due: list[_Tick] = []
        self._ticks, self._accepted, self._duplicates, self._lists, self._scored = (
            group.counter(name) for name in ("ticks", "accepted", "duplicates", "lists", "scored")
        )
        self._hits = Labelled(group, "hits_at_10", "model")
        self._items, self._without_vector = (Level(group.counter(name)) for name in ("items", "items_without_vector"))
        self._event_to_list = Labelled(group, "event_to_list", "le")
        self._event_to_list_ms = group.counter("event_to_list_ms")

    def tick(self, metrics: TickMetrics, without_vector: int, **stage_us: int) -> None:
        """Remember a tick whose lists are made, with what its stages took."""
        self._due.append(_Tick(metrics, without_vector, int(self._clock() * 1000), stage_us))

    def publish(self) -> None:
        """Count the ticks since the last call."""
        for due in self._due:
            self._count(due)
        self._due.clear()

    def _count(self, tick: _Tick) -> None:
        metrics = tick.metrics
        self._ticks.inc()
        self._accepted.inc(metrics.accepted)
        self._duplicates.inc(metrics.duplicates)
        self._lists.inc(metrics.lists)
        self._scored.inc(metrics.scored)
        for model, ranks in metrics.ranks.items():
            self._hits.inc(model, count_hits(ranks))
        self._items.set(metrics.items)
        self._without_vector.set(tick.without_vector)
        ages = np.asarray(metrics.left_ms, np.int64) + tick.made_ms - metrics.tick
        for bound in LE_MS:
            self._event_to_list.inc(str(bound), int(np.count_nonzero(ages <= bound)))
        self._event_to_list.inc("+Inf", len(ages))
        self._event_to_list_ms.inc(int(ages.sum()))
        for stage, us in tick.stage_us.items():
            self._stages.add(stage, us)


def count_hits(ranks: Sequence[int]) -> int:
    """Return how many ranks are among the ten best; 0 is not scored."""
    found = np.asarray(ranks)
    return int(np.count_nonzero((found >= 1) & (found <= HIT)))
