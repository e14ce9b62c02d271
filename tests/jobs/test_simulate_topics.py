"""Laws of `headwater simulate --config`, on a real broker: what is sent is what was asked for."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.config import Config, load_config
from jobs.kafka_client import Admin, open_consumer, open_producer
from jobs.topics import FOREVER, create, plan
from online.event import decode_event
from tests.jobs.replay_logs import EXAMPLES, real_rows, write_csv

MISTAKES = [
    ([], "expected either --out DIR for a made-up log in files, or --config job.toml"),
    (["--out", "x", "--config", "y"], "expected either --out DIR"),
    (["--config", "missing.toml"], "cannot read the configuration missing.toml"),
    (["--config", "JOB"], "expected one of --log F and --visitors N"),
    (["--config", "JOB", "--log", "x.csv", "--bad", "2"], "--bad is 2; expected a share from 0 to 1"),
    (["--config", "JOB", "--log", "x.csv", "--rate", "0"], "--rate is 0; expected at least 0.001"),
    (["--config", "JOB", "--log", "x.csv", "--delay", "soon"], "--delay is 'soon'; expected a duration"),
    (["--config", "JOB", "--log", "x.csv", "--send-items"], "no Kafka broker answers at 127.0.0.1:1"),
    (["--config", "JOB", "--visitors", "3"], "no Kafka broker answers at 127.0.0.1:1"),
]


def job(folder: Path, kafka: str, name: str) -> Config:
    """Write the configuration of a job."""
    tables = "".join(f'[{table}]\ntopic = "{name}.{table}"\n' for table in ("events", "items", "lists"))
    file = folder / "job.toml"
    file.write_text(f'name = "{name}"\n{tables}[kafka]\nbootstrap = "{kafka}"\n')
    return load_config(file)


def made(folder: Path, kafka: str, name: str) -> Config:
    """Write the configuration of a job, and make its topics."""
    config = job(folder, kafka, name)
    create(Admin(kafka), plan(config, 2, retention_ms=FOREVER))
    return config


def read_all(config: Config, topic: str) -> list[Any]:
    """Return all messages of a topic."""
    from confluent_kafka import TopicPartition

    consumer = open_consumer(config.kafka.bootstrap, {}, group="test")
    partitions = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found = []
    while partitions:
        for message in consumer.consume(1000, 1):
            if message.error():
                partitions.discard(message.partition())
            else:
                found.append(message)
    consumer.close()
    return found


@pytest.mark.parametrize(("arguments", "text"), MISTAKES)
def test_mistakes(
    arguments: list[str], text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is one clear text and status 2."""
    job(tmp_path, "127.0.0.1:1", "mistaken")
    monkeypatch.chdir(tmp_path)
    items = EXAMPLES / "movietweetings"
    log = tmp_path / "x.csv"
    write_csv(log, real_rows("movietweetings", 5))
    named = {"JOB": str(tmp_path / "job.toml")}
    if "--send-items" in arguments:
        arguments = [str(items / "job.toml") if each == "x.csv" else each for each in arguments]
    assert main(["simulate", *(named.get(each, each) for each in arguments)]) == 2
    assert text in capfd.readouterr().err


@pytest.mark.kafka
def test_a_log_is_sent(kafka: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """At the rate, keyed by user, with times of now; duplicates keep their ids, bad ones have their reasons."""
    config = made(tmp_path, kafka, "sent-log")
    rows = real_rows("movietweetings", 300)
    write_csv(tmp_path / "log.csv", rows)
    line = ["simulate", "--config", str(tmp_path / "job.toml"), "--log", str(tmp_path / "log.csv"), "--rate", "200"]
    start = time.time()
    assert main([*line, "--duplicates", "0.2", "--disorder", "0.2", "--bad", "0.1"]) == 0
    took_s = time.time() - start
    assert 1.4 < took_s < 15
    told = capfd.readouterr().out
    messages = read_all(config, config.events.topic)
    assert told.startswith(f"{len(messages):,} records to sent-log.events, from 300 of ")
    read = [decode_event(message.key(), message.value(), domain="", max_bytes=1 << 20) for message in messages]
    events = [event for event in read if not isinstance(event, str)]
    assert Counter(
        (event.user, event.item) for event in {event.event_id: event for event in events}.values()
    ) == Counter((row["user"], row["item"]) for row in rows)
    assert 30 <= len(events) - 300 <= 95
    assert len({event for event in read if isinstance(event, str)}) == 7
    for message in messages:
        assert start * 1000 - 1000 <= message.timestamp()[1] <= time.time() * 1000
    behind = [message.timestamp()[1] for message in messages if message.partition() == 0]
    assert behind != sorted(behind)


@pytest.mark.kafka
def test_the_logs_own_times_and_speed(kafka: str, tmp_path: Path) -> None:
    """Times of the log, and its own pace, a million times as fast; `--limit` ends it."""
    config = made(tmp_path, kafka, "own-times")
    rows = real_rows("movietweetings", 50)
    write_csv(tmp_path / "log.csv", rows)
    line = ["simulate", "--config", str(tmp_path / "job.toml"), "--log", str(tmp_path / "log.csv")]
    assert main([*line, "--speed", "1e6", "--times", "log", "--limit", "40"]) == 0
    messages = read_all(config, config.events.topic)
    assert sorted(message.timestamp()[1] for message in messages) == sorted(int(row["ts"]) * 1000 for row in rows[:40])


@pytest.mark.kafka
def test_visitors_click_from_their_lists(kafka: str, tmp_path: Path) -> None:
    """Items are sent as they are; who is shown liked items clicks them, with times of now; a signal ends it well."""
    config = made(tmp_path, kafka, "visits")
    write_csv(tmp_path / "events.csv", real_rows("movietweetings", 5))
    (tmp_path / "log.toml").write_text(
        f'[events]\npath = "events.csv"\n[items]\npath = "{EXAMPLES / "movietweetings" / "items.csv"}"\n'
        '[items.columns]\ntext = ["title", "genres"]\n'
    )
    line = ["simulate", "--config", str(tmp_path / "job.toml")]
    assert main([*line, "--log", str(tmp_path / "log.toml"), "--send-items", "--limit", "1"]) == 0
    items = {message.key().decode(): json.loads(message.value()) for message in read_all(config, config.items.topic)}
    assert items["1223"] == {"item": "1223", "title": "Frankenstein (1910)", "description": "Short|Horror|Sci-Fi"}
    horror = [item for item, told in items.items() if "Horror" in told.get("description", "")][:10]
    producer = open_producer(kafka, {})
    for number in range(1, 11):
        user = f"horror-{number:03d}"
        producer.produce(config.lists.topic, key=user, value=json.dumps({"user": user, "items": horror}))
    producer.flush()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *line, "--visitors", "100", "--rate", "150"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(8)
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "visitors with 12 tastes: " in err
    assert "horror" in err
    assert "ended in a click from the list" in out
    events = [json.loads(message.value()) for message in read_all(config, config.events.topic)]
    events = [event for event in events if "action" in event]  # not the log's
    clicks = [event for event in events if event["action"] == "click"]
    assert clicks
    assert {event["item"] for event in clicks} <= set(horror)
    assert {event["user"].split("-")[0] for event in clicks} == {"horror"}
    assert len({event["event_id"] for event in events}) == len(events)
