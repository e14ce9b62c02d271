"""The Flink operators: load, call the plain object, store, emit."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from pyflink.common import Row, Types
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import OutputTag
from pyflink.datastream.functions import (
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessFunction,
    RuntimeContext,
)

from jobs.catalogues import decode_change, load_catalogue
from jobs.interpreter import tune_interpreter
from jobs.job_metrics import LateMetrics, LearnerMetrics, SessionsMetrics, us_since
from jobs.package import CODE_ID, require_code, shipped
from jobs.stores import MapStore, RecentStore
from online.learner import Learner, identity
from online.outputs import Message, dead_letter_message, list_message, metrics_message
from online.process import LearnerProcess
from online.record import RECORD, decode_line
from online.session import DeadLetter, fold_tick
from online.settings import Settings
from state.tick import encode_share
from state.user import UserState, decode_user, encode_user

END_OF_TIME = 2**63 - 1  # a timer here fires once, when a bounded input is over, after all others

WIRE_BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())


class Form(NamedTuple):
    """How messages leave the job."""

    make_type: Callable[[], TypeInformation]  # a new one each time: once used, it holds a gateway and cannot be shipped
    of: Callable[[Message], object]

    def tag(self, name: str) -> OutputTag:
        """Return the tag of a side output in this form."""
        return OutputTag(name, self.make_type())


def as_line(message: Message) -> str:
    """Return a message as a line of a file: its value."""
    return message.value.decode()


def as_row(message: Message) -> Row:
    """Return a message as key and value of a topic."""
    return Row(message.key, message.value)


def _row_type() -> TypeInformation:
    return Types.ROW([Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.PRIMITIVE_ARRAY(Types.BYTE())])


LINES = Form(Types.STRING, as_line)
ROWS = Form(_row_type, as_row)
DEAD_LETTERS, METRICS = "dead-letters", "metrics"
RECENT_BYTES = 64 << 20  # of users' states that a Sessions subtask keeps at hand


class SessionsOperator(KeyedProcessFunction):
    """Runs `online.session` on keyed state; the key is the shard, an element (shard, lines) its share of one tick."""

    def __init__(self, settings: Settings, topic: str, form: Form, *, warm: bool) -> None:
        """Start without users.

        Args:
            settings: of the loop.
            topic: named in dead letters.
            form: of the dead letters, a side output.
            warm: read all users of a shard at its first tick, because in process mode each cold read is a round trip.
        """
        self._settings = settings
        self._topic = topic
        self._form = form
        self._warm = warm
        self._code_id = CODE_ID

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state; Flink calls this before the first element."""
        require_code(self._code_id)
        self._users = RecentStore(MapStore(runtime_context, "users"), RECENT_BYTES)
        self._dead_letters = self._form.tag(DEAD_LETTERS)
        self._warmed: set[int] = set()
        self._told = SessionsMetrics(runtime_context)
        tune_interpreter()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterable[object]:
        """Fold a tick; its time is the element's timestamp."""
        shard, lines = value[0], value[1]
        self._users.enter(shard)
        if self._warm and shard not in self._warmed:
            self._warmed.add(shard)
            for _ in self._users.items():
                pass
        with self._told.stages.measure("fold"):
            records = [decode_line(line) for line in lines.split(RECORD)]
            folded = fold_tick(shard, ctx.timestamp(), records, self._load, self._settings)
        with self._told.stages.measure("store"):
            self._users.put_all({user: encode_user(state) for user, state in folded.states.items()})
        self._told.records.inc(len(records))
        self._told.users_at_hand_bytes.set(self._users.bytes_at_hand)
        for letter in folded.dead:
            self._told.dead_letters.inc(letter.reason)
            yield self._dead_letters, self._form.of(dead_letter_message(self._topic, letter))
        yield encode_share(folded.share)

    def _load(self, user: str) -> UserState | None:
        raw = self._users.get(user)
        return None if raw is None else decode_user(raw)


class LateOperator(ProcessFunction):
    """Turns flagged lines that no tick may hold into dead letters; an element is (line,)."""

    def __init__(self, topic: str, form: Form) -> None:
        """Name `topic` in the dead letters."""
        self._topic = topic
        self._form = form

    def open(self, runtime_context: RuntimeContext) -> None:
        """Register the metrics."""
        self._told = LateMetrics(runtime_context)

    def process_element(self, value: Row, ctx: ProcessFunction.Context) -> Iterable[object]:
        """Emit one dead letter."""
        record = decode_line(value[0])
        self._told.dead_letters.inc(record.flag)
        yield self._form.of(dead_letter_message(self._topic, DeadLetter(record, record.flag)))


class LearnerOperator(KeyedCoProcessFunction):
    """Runs `online.process` on keyed state and event-time timers: input 1 is shares, input 2 catalogue changes."""

    def __init__(self, settings: Settings, vectors: Path, form: Form, topic: str) -> None:
        """Start from the catalogue in the file `vectors`.

        Args:
            settings: of the loop.
            vectors: of the initial catalogue, where `jobs.package.shipped` finds it.
            form: of the lists, and of the side outputs metrics and dead letters.
            topic: of the changes, named in dead letters.
        """
        self._settings = settings
        self._vectors = vectors
        self._form = form
        self._topic = topic
        self._code_id = CODE_ID

    def open(self, runtime_context: RuntimeContext) -> None:
        """Take the state; it is read at the first element, because it belongs to a key."""
        require_code(self._code_id)
        self._inputs = MapStore(runtime_context, "inputs")
        self._blocks = MapStore(runtime_context, "blocks")
        self._metrics = self._form.tag(METRICS)
        self._dead_letters = self._form.tag(DEAD_LETTERS)
        self._alive: LearnerProcess | None = None
        self._told = LearnerMetrics(runtime_context)

    def process_element1(self, value: bytes, ctx: KeyedCoProcessFunction.Context) -> None:
        """Keep a share until its tick is over."""
        self._told.publish()
        timers = ctx.timer_service()
        timers.register_event_time_timer(self._process().on_share(bytes(value)))
        timers.register_event_time_timer(END_OF_TIME)

    def process_element2(self, value: Row, ctx: KeyedCoProcessFunction.Context) -> Iterable[object]:
        """Keep a change of the catalogue until its tick; refuse one that could never be used."""
        process = self._process()
        change = decode_change(value, self._model_id, self._dim)
        if isinstance(change, DeadLetter):
            self._told.dead_letters.inc(change.reason)
            yield self._dead_letters, self._form.of(dead_letter_message(self._topic, change))
        else:
            process.on_change(change)

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterable[object]:
        """Learn the tick that is over and emit its lists; at the end of a bounded input, the totals."""
        process, domain = self._process(), self._settings.domain
        if timestamp == END_OF_TIME:
            yield self._metrics, self._form.of(metrics_message(domain, process.on_end()))
            return
        started = time.perf_counter_ns()
        result = process.on_tick(timestamp)
        if result is None:
            return
        learn_us, learned = us_since(started), time.perf_counter_ns()
        metrics = self._form.of(metrics_message(domain, result.metrics))
        lists = [self._form.of(list_message(made)) for made in result.lists]
        self._told.tick(result.metrics, self._catalogue.without_vector, learn=learn_us, emit=us_since(learned))
        yield self._metrics, metrics
        yield from lists

    def _process(self) -> LearnerProcess:
        """Return the learner, restored from this key's state at the first use."""
        if self._alive is None:
            catalogue = load_catalogue(shipped(self._vectors), self._settings)
            self._model_id, self._dim = catalogue.model_id, len(catalogue.projection.mean)
            name = identity(self._settings, catalogue)
            self._catalogue, learner = catalogue, Learner(self._settings, catalogue)
            self._alive = LearnerProcess(lambda: learner, name, self._inputs, self._blocks)
            tune_interpreter()
        return self._alive
