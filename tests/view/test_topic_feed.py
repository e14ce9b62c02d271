"""Laws of the topics' feed on a real broker: only what was committed, each record once, whatever ends in between."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.config import Config, load_config
from jobs.kafka_client import Admin
from jobs.topics import FOREVER, create, plan
from models.vectors import VectorRecord, encode_record
from state.errors import HeadwaterError
from tests.view.lines import list_line, metrics_line, open_view
from tests.view.running import ask, command, post
from view.topics import TopicFeed
from view.view import View

pytestmark = pytest.mark.kafka


def job(kafka: str, folder: Path, name: str) -> Config:
    """Return the configuration of a job whose topics are there."""
    tables = ("events", "items", "vectors", "lists", "dead_letters", "metrics")
    text = "".join(f'[{table}]\ntopic = "{name}.{table}"\n' for table in tables)
    file = folder / "job.toml"
    file.write_text(f'name = "{name}"\n{text}[kafka]\nbootstrap = "{kafka}"\n[flink]\ncheckpoints = "state"\n')
    config = load_config(file)
    create(Admin(kafka), plan(config, 2, retention_ms=FOREVER))
    return config


@pytest.fixture
def config(kafka: str, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """Make the topics of a job of the test's own."""
    return job(kafka, tmp_path, request.node.name.replace("_", "-")[:60].strip("-"))


class Job:
    """Writes the outputs of a job as its sinks do, in transactions."""

    def __init__(self, config: Config) -> None:
        """Open a transactional producer."""
        from confluent_kafka import Producer

        self.config = config
        self._producer = Producer({"bootstrap.servers": config.kafka.bootstrap, "transactional.id": config.name})
        self._producer.init_transactions()

    def write(self, *records: tuple[str, str, bytes | None], commit: bool = True) -> None:
        """Write (table, key, value) in one transaction, and commit or abort it."""
        self._producer.begin_transaction()
        for table, key, value in records:
            self._producer.produce(getattr(self.config, table).topic, key=key, value=value)
        self._producer.flush()
        self._producer.commit_transaction() if commit else self._producer.abort_transaction()


def read_all(view: View, feed: TopicFeed) -> None:
    """Fold until the end of all topics has been reached once more."""
    feed.caught_up = False
    feed._ends.clear()
    deadline = time.monotonic() + 30
    while not feed.caught_up or feed.lag().view:
        view.fold(feed.read(0.2), 0)
        assert time.monotonic() < deadline


@pytest.fixture
def parts(config: Config, tmp_path: Path) -> Iterator[tuple[Job, View, TopicFeed]]:
    """Yield a job, and a view that reads it."""
    view, store = open_view(tmp_path / "store")
    feed = TopicFeed(config)
    assert feed.open(view.positions)
    yield Job(config), view, feed
    feed.close()
    store.close()


def test_only_what_was_committed(parts: tuple[Job, View, TopicFeed]) -> None:
    """Lists of an aborted transaction are never seen; withdrawals, items, vectors and dead letters are."""
    writer, view, feed = parts
    vector = encode_record(VectorRecord("m", "", 0, np.array([1.0, 0.0], np.float32)))
    writer.write(
        ("items", "a", b'{"title": "Apple", "category": "fruit"}'),
        ("vectors", "a", vector),
        ("vectors", "b", vector),
        ("metrics", "", metrics_line(1000, "u:a v:b")),
        ("lists", "u", list_line("u", 1000, "a b")),
        ("lists", "v", list_line("v", 1000, "b")),
        ("dead_letters", "t/0/1", b'{"reason": "late"}'),
    )
    writer.write(("lists", "u", list_line("u", 2000, "x")), commit=False)
    writer.write(("lists", "v", None))
    read_all(view, feed)
    person = view.people.get("u")
    assert person is not None
    assert person.now is not None
    assert (person.now.items, [seen.item for seen in person.seen]) == (["a", "b"], ["a"])
    assert view.people.get("v") is None
    assert (view.shelf.get("a").title, view.shelf.get("a").about) == ("Apple", "fruit")
    assert view.neighbours.similar("a", 1) == [("b", 1.0)]
    assert (view.totals.lists, view.totals.withdrawn, view.totals.dead_letters) == (2, 1, {"late": 1})
    assert feed.lag().view == 0


def test_it_goes_on_where_it_was(config: Config, tmp_path: Path) -> None:
    """Each life of the view reads what came since the one before, whether or not it ended well."""
    writer = Job(config)
    for life in range(1, 4):
        for user in ("u", "v", "w"):
            writer.write(
                ("lists", user, list_line(user, life, f"i{life}")),
                ("metrics", "", metrics_line(life, f"{user}:i{life}")),
            )
        view, store = open_view(tmp_path / "store")
        feed = TopicFeed(config)
        assert feed.open(view.positions)
        if life > 1:
            assert view.totals.lists == 3 * (life - 1)
        read_all(view, feed)
        assert (view.totals.lists, view.totals.accepted) == (3 * life, 3 * life)
        feed.close()
        store.close()


def test_a_topic_made_anew_is_read_anew(config: Config, tmp_path: Path) -> None:
    """Positions behind the end of a topic are of another one."""
    view, store = open_view(tmp_path / "store")
    feed = TopicFeed(config)
    assert not feed.open({"lists/0": 1000})
    view.forget()
    assert feed.open(view.positions)
    feed.close()
    store.close()


def test_the_jobs_lag(parts: tuple[Job, View, TopicFeed]) -> None:
    """It is what lies behind the offsets that the job has committed; unknown before the first."""
    from confluent_kafka import Consumer, TopicPartition

    writer, _, feed = parts
    for number in range(6):
        writer.write(("events", f"u{number}", b"{}"))
    assert feed.lag().job is None
    topic = writer.config.events.topic
    group = Consumer({"bootstrap.servers": writer.config.kafka.bootstrap, "group.id": writer.config.name})
    group.commit(offsets=[TopicPartition(topic, number, 1) for number in (0, 1)], asynchronous=False)
    group.close()
    feed._job_lag = (0.0, None)
    waiting = feed.lag().job
    # Each transaction leaves a marker, which is an offset too.
    assert waiting is not None
    assert 4 <= waiting <= 10


def test_missing_topics_are_told(kafka: str, tmp_path: Path) -> None:
    """By name, and what to do."""
    file = tmp_path / "job.toml"
    tables = "".join(f'[{table}]\ntopic = "absent-{table}"\n' for table in ("events", "items", "lists", "metrics"))
    file.write_text(f'{tables}[kafka]\nbootstrap = "{kafka}"\n')
    with pytest.raises(
        HeadwaterError, match=r"has no topic absent-lists, absent-metrics, absent-items; make them with"
    ):
        TopicFeed(load_config(file))
    file.write_text(f'[events]\ntopic = "e"\n[items]\ntopic = "i"\n[kafka]\nbootstrap = "{kafka}"\n')
    with pytest.raises(HeadwaterError, match=r"names no lists.topic and no metrics.topic"):
        TopicFeed(load_config(file))


def test_clicks_reach_the_topic(config: Config, tmp_path: Path) -> None:
    """`POST /events` sends what the job reads: the user as key, now as time; wrong ones are refused."""
    from confluent_kafka import Consumer, TopicPartition

    with command("--config", str(tmp_path / "job.toml"), "--clicks") as (_, port):
        before_ms = time.time_ns() // 1_000_000
        answer = post(port, "/events", {"user": "ü/1", "item": "<i>"})
        assert answer.status == 200
        mistakes: list[object] = [{"user": "u"}, {"user": "", "item": "i"}, {"user": "u", "item": "i", "more": 1}, []]
        for wrong in mistakes:
            assert post(port, "/events", wrong).status == 422
        assert ask(port, "/events").status == 405
        sent: dict[str, Any] = answer.json
    consumer = Consumer({"bootstrap.servers": config.kafka.bootstrap, "group.id": "test-clicks"})
    consumer.assign([TopicPartition(config.events.topic, sent["partition"], sent["offset"])])
    message = consumer.poll(10)
    consumer.close()
    event = json.loads(message.value())
    assert message.key() == "ü/1".encode()
    assert event == {"event_id": sent["event_id"], "user": "ü/1", "item": "<i>", "action": "click", "at": sent["at"]}
    assert before_ms <= sent["at"] == message.timestamp()[1]
