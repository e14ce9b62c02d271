"""Each topic keeps what the design needs, and a topic that is there is compared, never changed."""

import uuid
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.config import Config, load_config
from jobs.kafka_client import Admin
from jobs.topics import DAY_MS, FOREVER, Topic, create, plan
from state.errors import HeadwaterError

TABLES = ("events", "items", "vectors", "lists", "dead_letters", "metrics")


def job(folder: Path, bootstrap: str = "127.0.0.1:9", prefix: str = "", events: str = "") -> Path:
    """Write a job.toml whose topics are named as their tables; `events` is added to that table."""
    tables = [f'[{name}]\ntopic = "{prefix}{name}"' + (f"\n{events}" if name == "events" else "") for name in TABLES]
    path = folder / "job.toml"
    path.write_text("\n".join(['name = "test"', f'[kafka]\nbootstrap = "{bootstrap}"', *tables]))
    return path


def by_name(topics: list[Topic]) -> dict[str, Topic]:
    """Return the topics by name."""
    return {topic.name: topic for topic in topics}


def configured(tmp_path: Path, events: str = "") -> Config:
    """Return the configuration of `job`."""
    return load_config(job(tmp_path, events=events))


def test_plan_holds_the_design(tmp_path: Path) -> None:
    """Compaction where the last value counts, retention where a history does, partitions where users are spread."""
    topics = by_name(plan(configured(tmp_path), partitions=6))
    assert {name: topic.partitions for name, topic in topics.items()} == dict.fromkeys(TABLES, 1) | {
        "events": 6,
        "lists": 6,
    }
    policies = {name: topic.settings["cleanup.policy"] for name, topic in topics.items()}
    compacted = {"items", "vectors", "lists"}
    assert policies == {name: "compact" if name in compacted else "delete" for name in TABLES}
    assert int(topics["lists"].settings["delete.retention.ms"]) >= 7 * DAY_MS
    assert int(topics["events"].settings["retention.ms"]) == 7 * DAY_MS
    assert int(topics["dead_letters"].settings["retention.ms"]) == 14 * DAY_MS


@pytest.mark.parametrize("limit", ["", "max_bytes = 16777216"])
def test_every_event_fits_into_a_dead_letter(tmp_path: Path, limit: str) -> None:
    """A record too large for the job still arrives, and its base64 in an envelope fits the dead letters."""
    config = configured(tmp_path, limit)
    topics = by_name(plan(config))
    event_bytes = int(topics["events"].settings["max.message.bytes"])
    assert event_bytes > config.events.max_bytes
    assert int(topics["dead_letters"].settings["max.message.bytes"]) > event_bytes * 4 / 3 + 1_000_000


def test_retention_is_for_histories(tmp_path: Path) -> None:
    """One flag keeps a log of the past, which its timestamps would else delete; compacted topics know no retention."""
    settings = {topic.name: topic.settings for topic in plan(configured(tmp_path), retention_ms=FOREVER)}
    assert {name for name, each in settings.items() if each.get("retention.ms") == "-1"} == {
        "events",
        "dead_letters",
        "metrics",
    }


def test_only_named_topics_are_planned(tmp_path: Path) -> None:
    """A table without a topic adds none."""
    path = tmp_path / "job.toml"
    path.write_text('[events]\ntopic = "e"\n[items]\npath = "items.csv"\n')
    assert [topic.name for topic in plan(load_config(path))] == ["e"]


def test_shared_topic_is_refused(tmp_path: Path) -> None:
    """Two tables on one topic is a mistake that is named."""
    path = tmp_path / "job.toml"
    path.write_text('[events]\ntopic = "same"\n[items]\ntopic = "same"\n')
    with pytest.raises(HeadwaterError, match="topic same is named by two tables"):
        plan(load_config(path))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--partitions", "0"], "--partitions is 0; expected a whole number"),
        (["--retention", "soon"], "--retention is 'soon'; expected a duration"),
        ([], "no Kafka broker answers at 127.0.0.1:9"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: str) -> None:
    """A wrong flag or a broker that is gone: one line, exit 2."""
    assert main(["topics", "create", "--config", str(job(tmp_path)), *flags]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.kafka
def test_create_then_compare(tmp_path: Path, kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run makes all six on a real broker; the second finds nothing to do and says so."""
    arguments = ["topics", "create", "--config", str(job(tmp_path, kafka, f"{uuid.uuid4()}."))]
    assert main(arguments) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["made"] * 6
    assert main(arguments) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["kept"] * 6


@pytest.mark.kafka
def test_difference_is_told_and_left(tmp_path: Path, kafka: str) -> None:
    """A topic made otherwise keeps its settings; each difference is told with what to do; more than needed is fine."""
    prefix = f"{uuid.uuid4()}."
    config = load_config(job(tmp_path, kafka, prefix))
    admin = Admin(kafka)
    admin.create_topic(f"{prefix}lists", 1, 1, {"cleanup.policy": "delete"})
    admin.create_topic(f"{prefix}events", 9, 1, {"retention.ms": "-1", "max.message.bytes": "9000000"})
    lines = create(admin, plan(config))
    told = [line for line in lines if line.startswith(f"differs {prefix}lists")]
    assert "cleanup.policy is delete, expected compact" in told[0]
    assert f"--entity-name {prefix}lists" in told[0]
    assert "has 1 partitions, expected 4 or more" in told[-1]
    assert f"kept {prefix}events: as needed" in lines
    assert admin.topic_configs([f"{prefix}lists"])[f"{prefix}lists"]["cleanup.policy"] == "delete"
