"""The job's graph: ticks and late records -> Sessions -> Learner -> lists, metrics, dead letters."""

from pathlib import Path
from typing import Any, NamedTuple

from pyflink.common import Types
from pyflink.datastream import DataStream

from jobs.operators import (
    DEAD_LETTERS,
    METRICS,
    WIRE_BYTES,
    Form,
    LateOperator,
    LearnerOperator,
    SessionsOperator,
)
from online.settings import Settings


class Inputs(NamedTuple):
    """What comes out of the sources."""

    ticks: DataStream  # (shard, lines), one element per shard and tick, its timestamp the tick's last millisecond
    late: DataStream  # (line,), flagged
    changes: DataStream  # (partition, offset, time ms, key, value) of the vectors topic; never holds back the ticks


class Outputs(NamedTuple):
    """What goes to the sinks."""

    lists: DataStream
    metrics: DataStream
    dead_letters: DataStream


def build(inputs: Inputs, settings: Settings, vectors: Path, form: Form, mode: str, topics: tuple[str, str]) -> Outputs:
    """Wire the operators.

    State is matched by `uid`. The mode is part of each uid because Flink keeps thread and process state in different
    formats and would start empty, without an error, from the other's; so it refuses to restore instead.

    Args:
        inputs: of the sources.
        settings: of the loop.
        vectors: file of the initial catalogue, the same bytes on every task manager.
        form: of all outputs.
        mode: thread or process.
        topics: of the events and of the changes, as dead letters name them.
    """
    events_topic, changes_topic = topics
    shares = _named(
        inputs.ticks.key_by(_shard, Types.INT()).process(
            SessionsOperator(settings, events_topic, form, warm=mode == "process"), WIRE_BYTES
        ),
        f"sessions-{mode}",
    )
    lists = _named(
        shares.key_by(_domain, Types.STRING())
        .connect(inputs.changes.key_by(_domain, Types.STRING()))
        .process(LearnerOperator(settings, vectors, form, changes_topic), form.make_type())
        .set_parallelism(1)
        # Alone in its thread: pemja gives each Python operator of a thread a thread state of its own, numba asks for
        # the thread's first one when it lets go of an array, and waits for ever (in PyGILState_Ensure).
        .disable_chaining(),
        f"learner-{mode}",
    )
    late = _named(inputs.late.process(LateOperator(events_topic, form), form.make_type()).set_parallelism(1), "late")
    dead_letters = late.union(_side(shares, form, DEAD_LETTERS), _side(lists, form, DEAD_LETTERS).set_parallelism(1))
    return Outputs(lists, _side(lists, form, METRICS).set_parallelism(1), dead_letters)


def _shard(row: Any) -> int:
    return int(row[0])


def _domain(_: Any) -> str:
    """Return the one key of the Learner: a job serves one domain."""
    return ""


def _side(stream: DataStream, form: Form, name: str) -> DataStream:
    return stream.get_side_output(form.tag(name))


def _named(stream: DataStream, uid: str) -> DataStream:
    return stream.uid(uid).name(uid)
