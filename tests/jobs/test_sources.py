"""What comes out of the sources: every record once, untouched, in the tick of its time or flagged as late."""

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobs import sources
from jobs.config import Config, Events, Flink, Kafka, Lists, Vectors
from jobs.sources import client_properties, file_inputs, interval, topic_inputs
from online.loop import tick_of
from online.record import BAD_ROW, FIELD, LATE, LATE_IDLE, NULL, RECORD, Record, encode_line
from tests.jobs.flink_taps import Seen, run_until

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:httplib2"),  # comes with beam
    # In process mode PyFlink runs the worker in this process here; its reader thread complains when a job is torn down.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

TICK_MS, LATENESS_MS, SHARDS = 1000, 1000, 5
START_MS = 1_700_000_000_000
MIN_HASH = b"polygenelubricants"  # Java's hash of it is -2147483648, whose absolute value is negative
USERS = {MIN_HASH, *(b"u%d" % number for number in range(20))}
STRANGE = (
    bytes(range(256)),
    b"",
    None,
    b"\n\r\n\r",
    f"{FIELD}{RECORD}{NULL}".encode(),
    "h\u00e9llo \U0001f600 \u65e5\u672c".encode(),
    b"\xff\xfe\xed\xa0\x80'); DROP TABLE events_topic; --",
    b"[" * 100_000,
    b"x" * 3_000_000,
)


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (1, "INTERVAL '0 00:00:00.001' DAY(2) TO SECOND(3)"),
        (50, "INTERVAL '0 00:00:00.050' DAY(2) TO SECOND(3)"),
        (90_061_001, "INTERVAL '1 01:01:01.001' DAY(2) TO SECOND(3)"),
        (365 * 86_400_000, "INTERVAL '365 00:00:00.000' DAY(3) TO SECOND(3)"),
    ],
)
def test_interval_is_exact(ms: int, expected: str) -> None:
    """Any number of milliseconds has one spelling."""
    assert expected == interval(ms)


def test_client_properties_name_the_classes_of_the_connector() -> None:
    """A login module is found where the connector's jar has it, whichever of the two names it is given by."""
    shaded = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.plain.PlainLoginModule required;"
    for given in (shaded, shaded.replace("org.apache.flink.kafka.shaded.", "")):
        config = Config(kafka=Kafka(properties={"sasl.jaas.config": given, "bootstrap.servers": "other:1"}))

        assert {"sasl.jaas.config": shaded, "bootstrap.servers": "127.0.0.1:9092"} == client_properties(config)


@pytest.mark.flink
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_log_comes_whole(tmp_path: Path, mode: str) -> None:
    """Every record of a log is there once, with its bytes, in its tick or, if late, beside the ticks."""
    records = [*_strange(), *_disordered(200, (0,))]
    records[3] = records[3]._replace(flag=BAD_ROW)  # bad, and in time: the tick has it
    newest = START_MS
    for number, record in enumerate(records):
        flag = LATE if record.at_ms < newest - LATENESS_MS else record.flag
        newest = max(newest, record.at_ms)
        records[number] = record._replace(partition=0, offset=number, flag=flag)
    log = tmp_path / "events.log"
    log.write_bytes("".join(f"{encode_line(record)}\n" for record in records).encode())

    seen = _run(tmp_path, _config(), mode, lambda flink: file_inputs(flink, log, _config().settings()))

    assert sorted(records, key=_place) == sorted(seen.records, key=_place)
    assert [record for record in records if record.flag == LATE] == seen.late
    _check_ticks(seen)


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_topics_come_whole(tmp_path: Path, kafka: str, mode: str) -> None:
    """Every record of two disordered partitions is there once, with its bytes; the late are those of the definition."""
    config = _config(kafka, mode)
    records = _late_flagged(_produce(kafka, config.events.topic, [*_strange(), *_disordered(200, (0, 1))]))
    changes = _produce(kafka, config.vectors.topic, _strange())

    seen = _run(tmp_path, config, mode, lambda flink: topic_inputs(flink, config, bounded=True))

    assert records == sorted(seen.records, key=_place)
    assert [record for record in records if record.flag == LATE] == sorted(seen.late, key=_place)
    _check_ticks(seen)
    assert [(r.partition, r.offset, r.at_ms, r.key, r.value) for r in changes] == sorted(seen.changes)


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.slow
def test_nothing_vanishes_when_partitions_fall_idle(
    tmp_path: Path, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bursts after silence every record still comes once; what a window would have dropped is late_idle.

    The vectors topic is empty, then not: neither holds back the ticks. Nor does the silence after the last records.
    """
    monkeypatch.setattr(sources, "IDLE_MS", 500)
    config = _config(kafka, "idle")
    events, vectors = config.events.topic, config.vectors.topic
    for topic in (events, vectors):
        _produce(kafka, topic, [])
    sent: list[Record] = []

    def burst(second: int, partitions: Sequence[int]) -> Callable[[], None]:
        records = _disordered(300, partitions, START_MS + second * 1000, step_ms=60)  # 18 s of event time
        return lambda: sent.extend(_produce(kafka, events, records))

    def closed(second: int) -> Callable[[Seen], bool]:
        return lambda seen: any(at_ms >= START_MS + second * 1000 for _, at_ms, _ in seen.ticks)

    def end() -> None:
        _produce(kafka, vectors, _strange()[:3])
        _produce(kafka, events, [Record(part, 0, START_MS + 200_000, b"end", b"end", "") for part in (0, 1)])

    script = Script(
        [
            (burst(0, (0, 1)), closed(14)),
            (burst(20, (0,)), closed(34)),
            (burst(20, (1,)), lambda seen: any(record.flag == LATE_IDLE for record in seen.late)),
            (burst(40, (0, 1)), closed(54)),
            (end, lambda seen: len(seen.changes) == 3 and len(seen.records) == len(sent)),
        ]
    )
    seen = _run(tmp_path, config, "thread", lambda flink: topic_inputs(flink, config), script)

    assert sorted(sent, key=_place) == sorted((record._replace(flag="") for record in seen.records), key=_place)
    assert {"", LATE, LATE_IDLE} == {record.flag for record in seen.records}
    _check_ticks(seen)


class Script:
    """Takes a step when the one before it has had its effect, and the partitions fell idle."""

    def __init__(self, steps: Sequence[tuple[Callable[[], None], Callable[[Seen], bool]]]) -> None:
        """Take the steps: what to do, and how its effect is seen."""
        self._steps = list(steps)
        self._is_seen: Callable[[Seen], bool] = lambda seen: True

    def __call__(self, seen: Seen) -> bool:
        """Go on when it is time; tell whether the last effect is seen."""
        if not self._is_seen(seen):
            return False
        if not self._steps:
            return True
        act, self._is_seen = self._steps.pop(0)
        time.sleep(1.5)
        act()
        return False


def _run(folder: Path, config: Config, mode: str, inputs: Any, enough: Any = None) -> Seen:
    """Run the sources to their end, or until `enough`."""
    from jobs.flink_env import open_flink

    flink = open_flink(config, mode, folder)
    return run_until(flink, inputs(flink), folder / "seen", enough)


def _config(kafka: str = "", name: str = "files") -> Config:
    live = bool(kafka)
    return Config(
        name=f"sources-{name}",
        events=Events(topic=f"events-{name}" if live else "", lateness_ms=LATENESS_MS),
        vectors=Vectors(topic=f"vectors-{name}" if live else ""),
        lists=Lists(tick_ms=TICK_MS),
        kafka=Kafka(bootstrap=kafka or "127.0.0.1:9092", start="earliest"),
        flink=Flink(parallelism=2, shards=SHARDS, checkpoint_interval_ms=1000),
    )


def _strange() -> list[Record]:
    """Records with every kind of bytes as key and as value."""
    pairs = [*zip(STRANGE[:7], STRANGE[:7], strict=True), *((b"user", value) for value in STRANGE), (MIN_HASH, b"v")]
    return [Record(0, number, START_MS + number, key, value, "") for number, (key, value) in enumerate(pairs)]


def _disordered(count: int, partitions: Sequence[int], start_ms: int = START_MS, step_ms: int = 50) -> list[Record]:
    """Records whose times jump back, by up to half more than the bound; `count` for each partition."""
    random = Random(count + start_ms)
    return [
        Record(
            partition,
            number,
            start_ms + number * step_ms - random.randrange(LATENESS_MS * 3 // 2),
            b"u%d" % random.randrange(len(USERS) - 1),
            b"v%d" % number,
            "",
        )
        for number in range(count)
        for partition in partitions
    ]


def _produce(kafka: str, topic: str, records: Iterable[Record]) -> list[Record]:
    """Send records, and return them with the offsets they got, sorted."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": kafka})
    if topic not in admin.list_topics(timeout=10).topics:
        settings = {"max.message.bytes": str(8 << 20), "retention.ms": "-1"}  # the records' times are years ago
        admin.create_topics([NewTopic(topic, 2, 1, config=settings)])[topic].result()
    producer = Producer({"bootstrap.servers": kafka, "message.max.bytes": 8 << 20})
    sent: list[Record] = []

    def told(record: Record) -> Any:
        return lambda error, message: sent.append(record._replace(offset=message.offset()))

    for record in records:
        where = {"topic": topic, "partition": record.partition, "timestamp": record.at_ms, "on_delivery": told(record)}
        producer.produce(key=record.key, value=record.value, **where)
    producer.flush()
    return sorted(sent, key=_place)


def _late_flagged(records: list[Record]) -> list[Record]:
    """Apply the definition of late, record by record."""
    newest: dict[int, int] = {}
    flagged = []
    for record in records:
        high = newest.get(record.partition, record.at_ms)
        flagged.append(record._replace(flag=LATE) if record.at_ms < high - LATENESS_MS else record)
        newest[record.partition] = max(high, record.at_ms)
    return flagged


def _check_ticks(seen: Seen) -> None:
    """One element per shard and tick, at the tick's last ms; each user in one shard, each partition in order."""
    places = [(shard, at_ms) for shard, at_ms, _ in seen.ticks]
    assert len(places) == len(set(places))
    for shard, at_ms, records in seen.ticks:
        assert {at_ms} == {tick_of(record.at_ms, TICK_MS) for record in records}
        assert all(abs(_java_hash(record.key)) % SHARDS == shard for record in records if record.key in USERS)
        for _, group in itertools.groupby(sorted(records, key=lambda record: record.partition), lambda r: r.partition):
            offsets = [record.offset for record in group]
            assert offsets == sorted(offsets)


def _java_hash(key: bytes) -> int:
    """Return `hashCode` of the key read as latin-1."""
    bits = 0
    for byte in key:
        bits = (31 * bits + byte) & 0xFFFFFFFF
    return bits - (1 << 32) if bits >> 31 else bits


def _place(record: Record) -> tuple[int, int]:
    return record.partition, record.offset
