"""Ends for streams under test; the classes are made inside functions so that they travel by value."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jobs.flink_env import Flink, start
from jobs.sinks import to_files
from online.record import RECORD, Record, decode_line


class Seen(NamedTuple):
    """What came out of the sources."""

    ticks: list[tuple[int, int, list[Record]]]  # shard, timestamp, records
    late: list[Record]
    changes: list[tuple[int, int, int, bytes | None, bytes | None]]

    @property
    def records(self) -> list[Record]:
        """All records, in ticks and late."""
        return [*(record for _, _, records in self.ticks for record in records), *self.late]


def run_until(
    flink: Flink, inputs: Any, folder: Path, enough: Callable[[Seen], bool] | None = None, timeout_s: float = 60
) -> Seen:
    """Run the job to its end, or until `enough`; return what was seen.

    A tick is seen when the watermark of ticks and changes together has passed it, as the learner would see it.
    """
    from pyflink.common import Types

    one = Types.INT()
    ticks = inputs.ticks.key_by(lambda row: 0, one).connect(inputs.changes.key_by(lambda row: 0, one))
    late = inputs.late.map(lambda row: json.dumps(["late", row[0]]), Types.STRING()).set_parallelism(1)
    to_files(ticks.process(_tap(), Types.STRING()).set_parallelism(1).union(late), folder, "tap")
    job = start(flink, "tap")
    deadline = time.monotonic() + timeout_s
    while not job.is_over() and time.monotonic() < deadline and not (enough and enough(_read(folder))):
        time.sleep(0.3)
    if enough is None:
        job.wait()
    else:
        job.cancel()
    return _read(folder)


def _read(folder: Path) -> Seen:
    """Return what the finished files hold."""
    seen = Seen([], [], [])
    for part in sorted(folder.glob("part-*"), key=lambda path: int(path.stem.rsplit("-", 1)[1])):
        with part.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                _add(seen, *json.loads(line))
    return seen


def _add(seen: Seen, kind: str, *rest: Any) -> None:
    if kind == "tick":
        shard, at_ms, lines = rest
        seen.ticks.append((shard, at_ms, [decode_line(line) for line in lines.split(RECORD)]))
    elif kind == "late":
        seen.late.append(decode_line(rest[0]))
    else:
        partition, offset, at_ms, key, value = rest
        seen.changes.append((partition, offset, at_ms, _bytes(key), _bytes(value)))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")


def _tap() -> Any:
    from pyflink.datastream.functions import KeyedCoProcessFunction

    class Tap(KeyedCoProcessFunction):  # type: ignore[misc]
        """Holds ticks in memory until their timers, and tells all."""

        def open(self, runtime_context: Any) -> None:
            self._waiting: dict[int, list[str]] = {}

        def process_element1(self, value: Any, ctx: Any) -> Iterator[str]:
            at_ms = ctx.timestamp()
            ctx.timer_service().register_event_time_timer(at_ms)
            self._waiting.setdefault(at_ms, []).append(json.dumps(["tick", value[0], at_ms, value[1]]))
            yield from ()

        def process_element2(self, value: Any, ctx: Any) -> Iterator[str]:
            key, body = (None if each is None else bytes(each).decode("latin-1") for each in (value[3], value[4]))
            yield json.dumps(["change", value[0], value[1], value[2], key, body])

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[str]:
            yield from self._waiting.pop(timestamp)

    return Tap()
