"""A Flink of one thread: channels, watermarks, aligned barriers, keyed state and timers, as the job relies on them.

What it promises its operators is what Flink promises: the order of one channel and no other, state as of the barrier
after a restore, every record behind it once more, outputs that readers see only with a checkpoint that completed.
"""

import bisect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

END_OF_TIME = 2**63 - 1
BEGIN_OF_TIME = -(2**63)


class Element(NamedTuple):
    """A record between two tasks."""

    key: Any
    value: Any
    at_ms: int


class Mark(NamedTuple):
    """A watermark: nothing older comes on this channel."""

    at_ms: int


class Barrier(NamedTuple):
    """What lies before it belongs to the checkpoint."""

    checkpoint: int


Channel = deque[Element | Mark | Barrier]
States = dict[Any, dict[str, dict[str, bytes]]]  # key -> name of the state -> entries


class MapState:
    """Map state of the key at hand; has what `jobs.stores.MapStore` calls."""

    def __init__(self, keyed: "Keyed", name: str) -> None:
        self._keyed, self._name = keyed, name

    def get(self, key: str) -> bytes | None:
        return self._entries().get(key)

    def put(self, key: str, value: bytes) -> None:
        self._entries()[key] = bytes(value)

    def remove(self, key: str) -> None:
        self._entries().pop(key, None)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """In an order that says nothing, as RocksDB's after a change of the key's length would."""
        return iter(sorted(self._entries().items(), key=lambda entry: entry[0][::-1]))

    def _entries(self) -> dict[str, bytes]:
        return self._keyed.states.setdefault(self._keyed.key, {}).setdefault(self._name, {})


class Metrics:
    """A metric group, and a counter of it, that nobody reads."""

    def add_group(self, *names: str) -> "Metrics":
        """As of a MetricGroup."""
        return self

    def counter(self, name: str) -> "Metrics":
        """As of a MetricGroup."""
        return self

    def inc(self, n: int = 1) -> None:
        """As of a Counter."""


class Keyed:
    """State and timers of one operator, and the contexts that it is given."""

    def __init__(self, states: States, timers: Iterable[int] = ()) -> None:
        self.states = states
        self.timers = sorted(timers)  # of the one key of an operator that sets any
        self.key: Any = ""
        self.at_ms = 0

    def get_map_state(self, descriptor: Any) -> MapState:
        """As of a RuntimeContext."""
        return MapState(self, descriptor.name)

    def get_metrics_group(self) -> Metrics:
        """As of a RuntimeContext."""
        return Metrics()

    def timestamp(self) -> int:
        """As of a Context."""
        return self.at_ms

    def timer_service(self) -> "Keyed":
        """As of a Context."""
        return self

    def register_event_time_timer(self, at_ms: int) -> None:
        """As of a TimerService: a timer that is set twice fires once."""
        if at_ms not in self.timers:
            bisect.insort(self.timers, at_ms)


class Task:
    """One subtask: reads its channels, holds those back that have seen the barrier until all have.

    Attributes:
        inputs: channels into it.
        epoch: number of the barriers that passed it; what it emits belongs to the checkpoint after them.
    """

    def __init__(self, inputs: list[Channel]) -> None:
        self.inputs = inputs
        self.marks = [BEGIN_OF_TIME] * len(inputs)
        self.mark = BEGIN_OF_TIME
        self.epoch = 0
        self._held: set[int] = set()

    def ready(self) -> list[int]:
        """Return the channels that may be read now."""
        return [number for number, channel in enumerate(self.inputs) if channel and number not in self._held]

    def read(self, number: int) -> int | None:
        """Take one message from a channel; return the checkpoint whose barriers are all here with it."""
        message = self.inputs[number].popleft()
        if isinstance(message, Barrier):
            self._held.add(number)
            if len(self._held) < len(self.inputs):
                return None
            self._held = set()
            self.epoch = message.checkpoint
            return message.checkpoint
        if isinstance(message, Mark):
            self.marks[number] = message.at_ms
            if min(self.marks) > self.mark:
                self.mark = min(self.marks)
                self.on_mark(self.mark)
        else:
            self.on_element(number, message)
        return None

    def on_element(self, number: int, element: Element) -> None:
        """Take a record of a channel."""
        raise NotImplementedError

    def on_mark(self, at_ms: int) -> None:
        """Nothing older comes on any channel."""
        raise NotImplementedError

    def snapshot(self) -> Any:
        """Return the state as of now; nothing that happens later may change it."""
        raise NotImplementedError


class Topic:
    """An output, exactly once: what is emitted is seen with the checkpoint that it belongs to, else never."""

    def __init__(self, partition: Callable[[bytes], int]) -> None:
        self._partition = partition
        self._open: dict[int, list[Any]] = {}  # checkpoint -> messages
        self.seen: list[tuple[int, int, Any]] = []  # partition, offset, message
        self._ends: dict[int, int] = {}

    def emit(self, checkpoint: int, message: Any) -> None:
        """Write into the transaction of a checkpoint."""
        self._open.setdefault(checkpoint, []).append(message)

    def commit(self, checkpoint: int) -> None:
        """The checkpoint, and all before it, have completed."""
        for number in sorted(number for number in self._open if number <= checkpoint):
            for message in self._open.pop(number):
                partition = self._partition(message.key)
                offset = self._ends.get(partition, 0)
                self._ends[partition] = offset + 1
                self.seen.append((partition, offset, message))

    def abort(self) -> None:
        """Forget what is open."""
        self._open.clear()


def copied(states: Mapping[Any, Mapping[str, Mapping[str, bytes]]]) -> States:
    """Return state that later changes do not reach; the bytes themselves cannot change."""
    return {key: {name: dict(entries) for name, entries in named.items()} for key, named in states.items()}
