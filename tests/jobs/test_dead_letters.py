"""Laws of dead letters: each can be seen, mended and fed once more; what cannot be used still is told, and not fed."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.config import load_config
from jobs.kafka_client import Admin, open_consumer
from online.outputs import dead_letter_message
from online.record import Record
from online.session import DeadLetter, fold_tick
from tests.jobs.replay_logs import lines_in, replay
from tests.jobs.test_replay import bad_log

BAD = (
    Record(0, 5, 1_000, b"u", b'{"user":"u","item":7}', ""),
    Record(0, 9, 2_000, b"\xff", b'{"user":"u","item":"\xff"}', ""),
    Record(1, 3, 3_000, None, None, ""),
    Record(1, 4, 4_000, b"x", b'{"user":"u","item":"i","event_id":"e"}', ""),
)
REASONS = ("bad_schema", "bad_utf8", "null_value", "key_mismatch")


def write_letters(folder: Path, topic: str = "events") -> Path:
    """Write dead letters as a job does."""
    letters = folder / "dead_letters"
    letters.mkdir()
    lines = [dead_letter_message(topic, DeadLetter(*pair)).value for pair in zip(BAD, REASONS, strict=True)]
    (letters / "part-0.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return letters


def config(folder: Path, kafka: str = "127.0.0.1:9", topic: str = "events") -> Path:
    file = folder / "job.toml"
    file.write_text(
        f'name = "repairs"\n[events]\ntopic = "{topic}"\n[items]\ntopic = "items"\n'
        f'[dead_letters]\ntopic = "{topic}.dead"\n[kafka]\nbootstrap = "{kafka}"\n'
    )
    return file


def mended(file: Path) -> None:
    """Mend all letters of a list: the item, the bytes, the missing value; the key needs nothing."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line, value in zip(lines, ("i7", "é", "i", None), strict=True):
        if value:
            line.pop("value_base64", None)
            line["value"] = json.dumps({"user": "u", "item": value}, ensure_ascii=False)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_they_are_counted_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By reason with its meaning; where each lay; text where it is text, and no byte lost where it is not."""
    letters = write_letters(tmp_path)
    out = tmp_path / "bad.jsonl"

    assert main(["dead-letters", "list", "--from", str(letters), "--out", str(out)]) == 0

    told = capsys.readouterr().out
    assert "1  bad_schema: a field is missing or has the wrong type" in told
    assert r'events/0/5  bad_schema  "{\"user\":\"u\",\"item\":7}"' in told
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["reason"] for line in lines] == list(REASONS)
    assert (lines[0]["key"], lines[0]["value"]) == ("u", '{"user":"u","item":7}')
    assert ("key" in lines[1], "value" in lines[1]) == (False, False)
    assert lines[1]["key_base64"] == "/w=="


def test_one_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only those of a reason; none is no error."""
    letters = write_letters(tmp_path)
    assert main(["dead-letters", "list", "--from", str(letters), "--reason", "null_value", "--limit", "0"]) == 0
    assert capsys.readouterr().out.split() == ["1", "null_value:", "the", "record", "has", "no", "value"]
    assert main(["dead-letters", "list", "--from", str(letters), "--reason", "late"]) == 0
    assert capsys.readouterr().out == "no dead letters\n"


def test_what_is_not_mended_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that would only come back is named with its reason, and none is fed."""
    bad = tmp_path / "bad.jsonl"
    main(["dead-letters", "list", "--from", str(write_letters(tmp_path)), "--out", str(bad)])
    events = tmp_path / "events.jsonl"

    assert main(["dead-letters", "replay", str(bad), "--config", str(config(tmp_path)), "--to", str(events)]) == 1

    told = capsys.readouterr().err
    assert "events/0/5: bad_schema: a field is missing or has the wrong type" in told
    assert "3 of 4 cannot be used; none was fed; mend them" in told
    assert not events.exists()


def test_others_letters_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A vector's dead letter, or another job's, is no event of this one."""
    bad = tmp_path / "bad.jsonl"
    main(["dead-letters", "list", "--from", str(write_letters(tmp_path, "vectors")), "--out", str(bad)])
    assert main(["dead-letters", "replay", str(bad), "--config", str(config(tmp_path))]) == 1
    assert "it is of vectors, and this job's events are not" in capsys.readouterr().err


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is none of ours, a folder that is not there."""
    file = tmp_path / "x.jsonl"
    for line in (
        "{}",
        '{"topic":"t"',
        '{"topic":"t","partition":0,"offset":0,"timestamp":0,"reason":"x","key_base64":"?"}',
    ):
        file.write_text(line + "\n")
        assert main(["dead-letters", "replay", str(file), "--config", str(config(tmp_path))]) == 2
        assert f"{file} line 1 is no dead letter: " in capsys.readouterr().err
    assert main(["dead-letters", "list", "--from", str(tmp_path / "none")]) == 2
    assert "expected a replay's folder dead_letters" in capsys.readouterr().err


def test_a_replays_letters_come_back_as_events(tmp_path: Path) -> None:
    """Dead letters of a replay, mended by hand, are a log that another replay takes whole."""
    log = bad_log(tmp_path)
    replay(log.arguments, tmp_path / "out", "--engine", "python")
    bad, events = tmp_path / "bad.jsonl", tmp_path / "mended.jsonl"
    assert main(["dead-letters", "list", "--from", str(tmp_path / "out" / "dead_letters"), "--out", str(bad)]) == 0
    lines = [json.loads(line) for line in bad.read_text().splitlines()]
    assert len(lines) == len(lines_in(tmp_path / "out" / "dead_letters"))
    for number, line in enumerate(lines):
        line.pop("value_base64", None)
        line["value"] = json.dumps({"user": f"u{number % 2}", "item": "a"})
    bad.write_text("".join(json.dumps(line) + "\n" for line in lines))
    job = tmp_path / "job.toml"
    job.write_text(f'[events]\npath = "{log.events}"\nlateness = "365d"\n[vectors]\npath = "{log.vectors}"\n')

    assert main(["dead-letters", "replay", str(bad), "--config", str(job), "--to", str(events)]) == 0

    report = replay(["--config", str(job), "--events", str(events)], tmp_path / "again", "--engine", "python")
    assert (report["accepted"], report["dead_letters"]) == (len(lines), 0)


@pytest.mark.kafka
def test_repaired_ones_are_fed_once(tmp_path: Path, kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From the topic of dead letters to the topic of events, all or none; fed twice, each counts once."""
    from confluent_kafka import Producer

    topic, job, bad = "repairs.events", config(tmp_path, kafka, "repairs.events"), tmp_path / "bad.jsonl"
    for name in (topic, f"{topic}.dead"):
        Admin(kafka).create_topic(name, 2, 1, {})
    producer = Producer({"bootstrap.servers": kafka})
    for record, reason in zip(BAD, REASONS, strict=True):
        letter = dead_letter_message(topic, DeadLetter(record, reason))
        producer.produce(f"{topic}.dead", key=letter.key, value=letter.value)
    producer.flush(30)
    assert main(["dead-letters", "list", "--config", str(job), "--out", str(bad)]) == 0
    assert "4 written to" in capsys.readouterr().out
    lines = sorted(bad.read_text().splitlines(), key=lambda line: json.loads(line)["timestamp"])
    bad.write_text("\n".join(lines) + "\n")
    mended(bad)

    for _ in range(2):
        assert main(["dead-letters", "replay", str(bad), "--config", str(job), "--time", "original"]) == 0

    found = _read(kafka, topic)
    assert len(found) == 8
    assert {(m.key(), dict(m.headers())["headwater.dead-letter"]) for m in found} == {
        (b"u", f"{topic}/{r.partition}/{r.offset}".encode()) for r in BAD
    }
    assert {m.partition() for m in found if m.timestamp()[1] == 1_000} == {0}  # its key was right: where it lay
    records = [Record(m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), "") for m in found]
    share = fold_tick(0, 3_600_000, records, lambda user: None, load_config(job).settings()).share
    assert (len(share.users[0].rows), share.duplicates, share.dead) == (4, 4, 0)


def _read(kafka: str, topic: str) -> list[Any]:
    from confluent_kafka import TopicPartition

    consumer = open_consumer(kafka, {}, group="repairs-test")
    consumer.assign([TopicPartition(topic, partition, 0) for partition in (0, 1)])
    found: list[Any] = []
    ends = 0
    while ends < 2:
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            ends += 1
        else:
            found.append(message)
    consumer.close()
    return found
