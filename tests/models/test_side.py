"""The side process against a real broker: nothing lost, whatever kills it."""

import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.encoder import id_vector
from models.side_kafka import require_topics
from models.vectors import decode_record, text_sha256
from state.errors import HeadwaterError

ROOT = Path(__file__).parents[2]


class Topics:
    """Two fresh topics, a group and a cache; the side process on them."""

    def __init__(self, bootstrap: str, folder: Path, partitions: int = 2) -> None:
        from confluent_kafka.admin import AdminClient, NewTopic

        self.bootstrap = bootstrap
        self.folder = folder
        name = uuid.uuid4().hex[:8]
        self.items, self.vectors, self.group = f"items-{name}", f"vectors-{name}", f"group-{name}"
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(topic, partitions, 1) for topic in (self.items, self.vectors)]
        for made in admin.create_topics(topics).values():
            made.result()
        self._children: list[subprocess.Popen[str]] = []

    def send(self, records: list[tuple[bytes | None, bytes | None]]) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.bootstrap})
        for key, value in records:
            producer.produce(self.items, key=key, value=value)
        assert producer.flush(30) == 0

    def start(self, wait_ms: int = 0) -> subprocess.Popen[str]:
        where = [self.bootstrap, self.items, self.vectors, self.group, str(self.folder / "cache"), str(wait_ms)]
        log = (self.folder / f"side-{len(self._children)}.log").open("w")
        command = [sys.executable, "-m", "tests.models.side_child", *where]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self._children.append(child)
        return child

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("side-*.log")))

    def read(self) -> list[tuple[bytes, bytes | None, int]]:
        """Return everything on the vectors topic: (key, value, timestamp)."""
        from confluent_kafka import Consumer, KafkaError

        consumer = Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest",
            "enable.partition.eof": True, "enable.auto.commit": False,
        })  # fmt: skip
        consumer.subscribe([self.vectors])
        found: list[tuple[bytes, bytes | None, int]] = []
        ends: set[int] = set()
        while len(ends) < 2:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF
                ends.add(message.partition())
            else:
                found.append((message.key(), message.value(), message.timestamp()[1]))
        consumer.close()
        return found

    def until(
        self, done: Callable[[dict[bytes, bytes | None]], bool], seconds: float = 60
    ) -> dict[bytes, bytes | None]:
        """Return the newest value by key as soon as `done` says so."""
        deadline = time.monotonic() + seconds
        while not done(latest := {key: value for key, value, _ in self.read()}):
            assert time.monotonic() < deadline, f"{len(latest)} keys after {seconds} s; {self.log()[-2000:]}"
            time.sleep(0.2)
        return latest

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.communicate()


@pytest.fixture
def topics(kafka: str, tmp_path: Path) -> Iterator[Topics]:
    made = Topics(kafka, tmp_path)
    yield made
    made.close()


def stopped(child: subprocess.Popen[str]) -> dict[str, Any]:
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.kafka
@pytest.mark.slow
def test_killed_again_and_again_it_loses_nothing(topics: Topics) -> None:
    """kill -9 in the middle, five times over: in the end each item has its vector, its time and its text's hash."""
    wanted = {f"item-{k}".encode(): f"text of {k}" for k in range(5000)}
    topics.send([(key, json.dumps({"title": text}).encode()) for key, text in wanted.items()])
    started_ms = time.time_ns() // 1_000_000
    seen = 0
    for _ in range(5):
        child = topics.start(wait_ms=20)
        deadline = time.monotonic() + 60
        while (now := len(topics.read())) < min(len(wanted), seen + 600):
            assert time.monotonic() < deadline, topics.log()
            time.sleep(0.05)
        child.kill()
        child.wait()
        assert child.returncode == -signal.SIGKILL
        seen = now
    child = topics.start()
    latest = topics.until(lambda latest: len(latest) == len(wanted))
    counts = stopped(child)

    assert counts["lag"] in (0, None)  # None: stopped before it first asked
    for key, text in wanted.items():
        value = latest[key]
        assert value is not None
        record = decode_record(value)
        assert record.text_sha256 == text_sha256(text)
        assert record.vector.tobytes() == id_vector(text, 8).tobytes()  # what the hash encoder makes of a text
    assert all(started_ms <= at_ms <= time.time_ns() // 1_000_000 for _, _, at_ms in topics.read())


@pytest.mark.kafka
def test_retired_bad_and_textless_records(topics: Topics) -> None:
    """Null and available = false are forwarded as null in order; bad records are told with their offset and skipped."""
    topics.send([
        (b"a", b'{"title": "A"}'), (b"b", b'{"title": "B"}'), (b"none", b"{}"), (b"a", None),
        (b"b", b'{"available": false}'), (b"bad", b"\xff"), (None, None), (b"deep", b"[" * 100_000),
        (None, b'{"item": "from-value", "title": "V", "available_at": 1600000000}'),
        (b"poison", b'{"title": "\\u0000"}'), (b"back", None), (b"back", b'{"title": "again"}'),
    ])  # fmt: skip
    child = topics.start()
    latest = topics.until(lambda latest: len(latest) == 5)
    counts = stopped(child)

    assert latest[b"a"] is None
    assert latest[b"b"] is None
    assert decode_record(latest[b"none"] or b"").vector.tobytes() == id_vector("none", 8).tobytes()
    assert decode_record(latest[b"from-value"] or b"").available_at_ms == 1_600_000_000_000
    assert latest[b"back"] is not None
    assert (counts["items"], counts["without_text"], counts["retired"], counts["bad"]) == (5, 1, 3, 4)
    assert topics.log().count("skipped an unreadable item record: items-") == 4
    assert "item 'poison'" in topics.log()


@pytest.mark.kafka
def test_after_a_clean_stop_nothing_is_done_twice(topics: Topics) -> None:
    """Offsets are committed on the way out, and a second process starts behind them."""
    topics.send([(b"%d" % k, b'{"title": "t%d"}' % k) for k in range(300)])
    child = topics.start()
    topics.until(lambda latest: len(latest) == 300)
    assert stopped(child)["embedded"] == 300
    topics.send([(b"new", b'{"title": "t1"}')])
    child = topics.start()
    topics.until(lambda latest: b"new" in latest)
    counts = stopped(child)
    assert (counts["items"], counts["embedded"], counts["cached"]) == (1, 0, 1)
    assert len(topics.read()) == 301


@pytest.mark.kafka
def test_a_missing_topic_is_told(kafka: str) -> None:
    """The start refuses a topic that is not there, and makes none."""
    with pytest.raises(HeadwaterError, match="no topic 'not-there'"):
        require_topics(kafka, ["not-there"], {})
    with pytest.raises(HeadwaterError, match="no topic 'not-there'"):
        require_topics(kafka, ["not-there"], {})


@pytest.mark.parametrize("listening", [False, True])
def test_a_dead_broker_is_one_clear_error(tmp_path: Path, listening: bool) -> None:
    """Nothing listens, or something that is no broker: exit 2 within 10 s of the check, one line, no chatter."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if listening:
            port.listen()
        command = [
            sys.executable, "-m", "jobs.cli", "encode", "--from-topic", "a", "--to-topic", "b",
            "--bootstrap", f"127.0.0.1:{port.getsockname()[1]}", "--cache", str(tmp_path),
        ]  # fmt: skip
        started = time.monotonic()
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
        seconds = time.monotonic() - started
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("headwater encode: error: no Kafka broker answers at 127.0.0.1:")
    assert done.stderr.count("\n") == 1
    assert seconds < 15


def test_child_encoder_is_what_the_tests_expect() -> None:
    """A text and an id with the same words have the same hash vector; the tests above rest on it."""
    from tests.models.hash_encoder import HashEncoder

    assert np.array_equal(HashEncoder().encode(["x"])[0], id_vector("x", 8))
