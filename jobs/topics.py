"""The topics of a job: what each one must keep, for how long and how large; made where missing, compared where not."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from jobs.config import Config, load_config
from jobs.kafka_client import Admin
from jobs.values import duration_ms
from state.errors import HeadwaterError

PARTITIONS = 4  # of events and of lists; more than a job's parallelism, so that it can grow
DAY_MS = 86_400_000
EVENTS_KEPT_MS = 7 * DAY_MS  # a job that was down for a weekend and more still finds its input
OUTPUTS_KEPT_MS = 14 * DAY_MS  # dead letters and metrics: long enough to look into them after a holiday
EVENT_BYTES = 8 << 20  # a record too large for us must still arrive, to be dead-lettered with its bytes
FOREVER = -1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the design needs it."""

    name: str
    partitions: int
    settings: dict[str, str]  # of the broker's own names


def plan(config: Config, partitions: int = PARTITIONS, retention_ms: int | None = None) -> list[Topic]:
    """Return the topics that `config` names, inputs first.

    Args:
        config: the job's; a table without a topic adds none.
        partitions: of the events and of the lists, which are keyed by user; all others have one.
        retention_ms: instead of 7 d for events and 14 d for dead letters and metrics; -1 is for ever. A broker deletes
            by the records' timestamps, which for events are event time: a log of last year, replayed through a topic
            with 7 d, is gone within minutes.
    """
    event_bytes = max(EVENT_BYTES, 2 * config.events.max_bytes)

    def deleted(kept_ms: int, **more: int | str) -> dict[str, str]:
        return _settings("delete", retention__ms=kept_ms if retention_ms is None else retention_ms, **more)

    # The time of an output is when the broker took it: retention counts from there, and a reader sees how fresh a list
    # is. (Its event time is in it. PyFlink sends the timer's time in process mode and none in thread mode, and brokers
    # since 4.0 refuse times more than 1 h ahead of their clock, as a list at the end of a tick may be.)
    appended = {"message__timestamp__type": "LogAppendTime"}
    topics = [
        Topic(config.events.topic, partitions, deleted(EVENTS_KEPT_MS, max__message__bytes=event_bytes)),
        Topic(config.items.topic, 1, _settings("compact")),
        Topic(config.vectors.topic, 1, _settings("compact")),
        Topic(
            config.lists.topic,
            partitions,
            # A reader that was away for a week still sees which lists were withdrawn.
            _settings("compact", delete__retention__ms=EVENTS_KEPT_MS, **appended),
        ),
        # Twice: a dead letter holds the whole record as base64, which is a third larger.
        Topic(config.dead_letters.topic, 1, deleted(OUTPUTS_KEPT_MS, max__message__bytes=2 * event_bytes, **appended)),
        # A tick's line holds every rank of it: some 80 bytes an event, so a backlog's tick can pass the broker's 1 MiB.
        Topic(config.metrics.topic, 1, deleted(OUTPUTS_KEPT_MS, max__message__bytes=EVENT_BYTES, **appended)),
    ]
    named = [topic for topic in topics if topic.name]
    names = [topic.name for topic in named]
    if twice := {name for name in names if names.count(name) > 1}:
        raise HeadwaterError(
            f"topic {', '.join(sorted(twice))} is named by two tables of job.toml; expected a topic of its own for "
            "each, because they are kept for different times; rename one"
        )
    return named


def create(admin: Admin, topics: list[Topic], replication: int | None = None) -> list[str]:
    """Make the topics that are not there; return a line for each, with the differences of those that were.

    Args:
        admin: whom to ask.
        topics: from `plan`.
        replication: copies of each record; None: 3, or as many as there are brokers.
    """
    metadata = admin.metadata()
    copies = replication or min(3, len(metadata.brokers))
    there = {name: len(topic.partitions) for name, topic in metadata.topics.items()}
    lines = []
    for topic in topics:
        if topic.name in there:
            continue
        admin.create_topic(topic.name, topic.partitions, copies, {**topic.settings, **_in_sync(copies)})
        shown = ", ".join(f"{key}={value}" for key, value in topic.settings.items())
        lines.append(f"made {topic.name}: partitions={topic.partitions}, replication={copies}, {shown}")
    known = [topic for topic in topics if topic.name in there]
    for topic, found in differences(admin, known, there):
        lines += [f"differs {topic.name}: {difference}" for difference in found] or [f"kept {topic.name}: as needed"]
    return lines


def differences(admin: Admin, topics: list[Topic], there: dict[str, int]) -> list[tuple[Topic, list[str]]]:
    """Return, of topics that exist (`there`: name -> partitions), what each has other than it needs."""
    configs = admin.topic_configs([topic.name for topic in topics])
    found = []
    for topic in topics:
        lines = [
            f"{key} is {configs[topic.name].get(key)}, expected {wanted} {remedy(topic.name, key, wanted)}"
            for key, wanted in topic.settings.items()
            if not _does(key, configs[topic.name].get(key), wanted)
        ]
        if topic.partitions > there[topic.name]:
            lines.append(f"has {there[topic.name]} partitions, expected {topic.partitions} or more")
        found.append((topic, lines))
    return found


def remedy(topic: str, key: str, value: str) -> str:
    """Return how to change one setting of a topic with Kafka's own tool."""
    return f"(kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {key}={value})"


def _settings(policy: str, **values: int | str) -> dict[str, str]:
    """`a__b=1` becomes "a.b": "1"."""
    return {"cleanup.policy": policy, **{key.replace("__", "."): str(value) for key, value in values.items()}}


def _in_sync(copies: int) -> dict[str, str]:
    return {"min.insync.replicas": "2"} if copies > 2 else {}  # of 3 copies one may be away and nothing is lost


def _does(key: str, found: str | None, wanted: str) -> bool:
    """Say whether a setting does what is needed: more bytes or a longer time than needed is fine."""
    if found is None:
        return False
    if not wanted.lstrip("-").isdigit():  # a word, as of a policy
        return found == wanted
    return int(found) >= int(wanted) >= 0 or int(found) == FOREVER


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `headwater topics`."""
    parser.add_argument("action", choices=("create",), help="make the topics that are missing, compare the others")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the job's job.toml")
    parser.add_argument(
        "--partitions", type=int, default=PARTITIONS, metavar="N", help=f"of events and lists (default: {PARTITIONS})"
    )
    parser.add_argument(
        "--replication", type=int, metavar="R", help="copies of each record (default: 3, or the number of brokers)"
    )
    parser.add_argument(
        "--retention",
        metavar="TIME",
        help="of events, dead letters and metrics, such as 30d, or forever (default: 7d, 14d, 14d); brokers delete by "
        "event time, so a log of the past needs forever",
    )


def main(args: argparse.Namespace) -> int:
    """Make and compare; differences are told, they are no failure."""
    for flag, number in (("--partitions", args.partitions), ("--replication", args.replication)):
        if number is not None and number < 1:
            raise HeadwaterError(f"{flag} is {number}; expected a whole number of 1 or more")
    retention_ms = _retention_ms(args.retention)
    config = load_config(args.config)
    topics = plan(config, args.partitions, retention_ms)
    if not topics:
        raise HeadwaterError(
            f"{args.config} names no topic; expected events.topic and others; a job on files needs none"
        )
    for line in create(Admin(config.kafka.bootstrap, config.kafka.properties), topics, args.replication):
        print(line)
    return 0


def _retention_ms(spelled: str | None) -> int | None:
    if spelled is None:
        return None
    if spelled == "forever":
        return FOREVER
    if (ms := duration_ms(spelled)) <= 0:
        raise HeadwaterError(f"--retention is {spelled!r}; expected a duration such as 30d, or forever")
    return ms
