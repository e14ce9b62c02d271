"""The job's graph over the small Flink: its own operators, and in place of sources and windows what SQL does there."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pyflink.common import Types
from pyflink.datastream import OutputTag

from jobs.operators import DEAD_LETTERS, METRICS, Form, LateOperator, LearnerOperator, SessionsOperator
from online.loop import tick_of
from online.outputs import Message
from online.record import LATE, RECORD, Record, encode_line
from online.settings import Settings
from state.tables import Tables
from tests.simulation.flink import (
    BEGIN_OF_TIME,
    END_OF_TIME,
    Barrier,
    Channel,
    Element,
    Keyed,
    Mark,
    States,
    Task,
    Topic,
    copied,
)
from tests.simulation.world import CHANGES, EVENTS

LISTS = "lists"
PLAIN = Form(Types.STRING, lambda message: message)  # messages leave the operators as they are


class Outputs:
    """The job's topics; lists have three partitions, by user."""

    def __init__(self) -> None:
        self.topics = {
            LISTS: Topic(lambda key: zlib.crc32(key) % 3),
            DEAD_LETTERS: Topic(lambda key: 0),
            METRICS: Topic(lambda key: 0),
        }

    def emit(self, epoch: int, out: object) -> None:
        """Take what an operator yields: a message, or a side output's tag with one."""
        name, message = (
            (out[0].tag_id, out[1]) if isinstance(out, tuple) and isinstance(out[0], OutputTag) else (LISTS, out)
        )
        self.topics[name].emit(epoch + 1, message)

    def commit(self, checkpoint: int) -> None:
        """The checkpoint has completed."""
        for topic in self.topics.values():
            topic.commit(checkpoint)

    def abort(self) -> None:
        """What no completed checkpoint holds was never there."""
        for topic in self.topics.values():
            topic.abort()


class SourceState(NamedTuple):
    """Where the sources stand."""

    offsets: tuple[int, ...]  # next of each partition
    newest: tuple[int, ...]  # event time that decides what is late, by partition
    change: int  # next of the changes


class EventSource:
    """Reads the partitions, flags what is late, and knows how far event time is: one subtask, as in the job."""

    def __init__(self, settings: Settings, log: list[list[Record]], state: SourceState, outputs: Outputs) -> None:
        self._settings, self._log, self._outputs = settings, log, outputs
        self.offsets, self.newest = list(state.offsets), list(state.newest)
        self._marks = [BEGIN_OF_TIME] * len(log)  # a source forgets them in a crash
        self._late = LateOperator(EVENTS, PLAIN)
        self._late.open(Keyed({}))
        self.channels: list[Channel] = []
        self.epoch = 0
        self.is_over = False

    def left(self) -> list[int]:
        """Return the partitions that have more."""
        return [number for number, log in enumerate(self._log) if self.offsets[number] < len(log)]

    def poll(self, number: int) -> None:
        """Read a record of a partition."""
        record = self._log[number][self.offsets[number]]
        self.offsets[number] += 1
        late = record.at_ms < self.newest[number] - self._settings.lateness_ms
        self.newest[number] = max(self.newest[number], record.at_ms)
        self._marks[number] = max(self._marks[number], record.at_ms - self._settings.lateness_ms - 1)
        if late:
            context: Any = None  # the operator asks nothing of it
            for out in self._late.process_element((encode_line(record._replace(flag=LATE)),), context):
                self._outputs.emit(self.epoch, (OutputTag(DEAD_LETTERS, Types.STRING()), out))
            return
        shard = zlib.crc32(record.key or b"") % self._settings.shards
        tick_ms = tick_of(record.at_ms, self._settings.tick_ms)
        channel = self.channels[subtask_of(shard, self._settings.shards, len(self.channels))]
        channel.append(Element(shard, encode_line(record), tick_ms))

    def tell_mark(self) -> None:
        """Send how far event time is; the end of time when all is read."""
        left = self.left()
        self.is_over = not left
        at_ms = min((self._marks[number] for number in left), default=END_OF_TIME)
        for channel in self.channels:
            channel.append(Mark(at_ms))


def subtask_of(shard: int, shards: int, parallelism: int) -> int:
    """Return which subtask a shard belongs to."""
    return shard * parallelism // shards


class SessionsTask(Task):
    """The windows of some shards, and Sessions behind them."""

    def __init__(
        self,
        settings: Settings,
        channel: Channel,
        out: Channel,
        windows: dict[tuple[int, int], list[str]],
        users: States,
        outputs: Outputs,
        random: Random,
    ) -> None:
        super().__init__([channel])
        self._out, self._outputs, self._random = out, outputs, random
        self.windows = windows  # (tick, shard) -> lines
        self._keyed = Keyed(users)
        self._operator = SessionsOperator(settings, EVENTS, PLAIN, warm=random.random() < 0.5)
        self._operator.open(self._keyed)

    def on_element(self, number: int, element: Element) -> None:
        self.windows.setdefault((element.at_ms, element.key), []).append(element.value)

    def on_mark(self, at_ms: int) -> None:
        """Fire the windows that are over, tick after tick, shards in no order."""
        over = [window for window in self.windows if window[0] <= at_ms]
        self._random.shuffle(over)
        for tick_ms, shard in sorted(over, key=lambda window: window[0]):
            self._keyed.key, self._keyed.at_ms = shard, tick_ms
            lines = RECORD.join(self.windows.pop((tick_ms, shard)))
            for out in self._operator.process_element((shard, lines), self._keyed):
                if isinstance(out, bytes):
                    self._out.append(Element("", out, tick_ms))
                else:
                    self._outputs.emit(self.epoch, out)
        self._out.append(Mark(at_ms))

    def snapshot(self) -> tuple[dict[tuple[int, int], list[str]], States]:
        return {window: list(lines) for window, lines in self.windows.items()}, copied(self._keyed.states)


class LearnerTask(Task):
    """The Learner: one channel of each Sessions subtask, and the changes of the catalogue."""

    def __init__(
        self, settings: Settings, vectors: Path, inputs: list[Channel], states: States, timers: Iterable[int],
        outputs: Outputs,
    ) -> None:  # fmt: skip
        super().__init__(inputs)
        self._outputs = outputs
        self._keyed = Keyed(states, timers)
        self._operator = LearnerOperator(settings, vectors, PLAIN, CHANGES)
        self._operator.open(self._keyed)

    def on_element(self, number: int, element: Element) -> None:
        self._keyed.at_ms = element.at_ms
        if number < len(self.inputs) - 1:
            self._operator.process_element1(element.value, self._keyed)
        else:
            self._emit(self._operator.process_element2(element.value, self._keyed))

    def on_mark(self, at_ms: int) -> None:
        """Fire the timers that are due, in the order of their times."""
        timers = self._keyed.timers
        while timers and timers[0] <= at_ms:
            self._emit(self._operator.on_timer(timers.pop(0), self._keyed))

    def snapshot(self) -> tuple[States, list[int]]:
        return copied(self._keyed.states), list(self._keyed.timers)

    def tables(self) -> Tables:
        """Return what was learned, as a restart finds it."""
        return self._operator._process()._learner.tables()

    def _emit(self, outs: Iterable[object]) -> None:
        for out in outs:
            self._outputs.emit(self.epoch, out)


class ChangeSource:
    """Reads the changes of the catalogue; the ticks wait until all are read, as in a bounded run."""

    def __init__(self, changes: list[Record], next_change: int) -> None:
        self._changes, self.next = changes, next_change
        self.channel: Channel = Channel()
        self.is_over = False

    def poll(self) -> None:
        """Read one, or tell that there are no more."""
        if self.next < len(self._changes):
            change = self._changes[self.next]
            self.next += 1
            self.channel.append(Element("", tuple(change[:5]), change.at_ms))
        else:
            self.is_over = True
            self.channel.append(Mark(END_OF_TIME))


def send_barrier(channels: Iterable[Channel], checkpoint: int) -> None:
    """Let what follows belong to the next checkpoint."""
    for channel in channels:
        channel.append(Barrier(checkpoint))


def messages(topic: Topic) -> list[Message]:
    """Return what readers see, in the order of its commits."""
    return [message for _, _, message in topic.seen]
