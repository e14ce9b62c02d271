"""`headwater simulate --config`: events to a live job, from a log or from visitors who click from their lists."""

import argparse
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from jobs.config import Config, config_from_flags, load_config
from jobs.kafka_client import open_consumer
from jobs.logs import read_canonical, write_canonical
from jobs.sending import TELL_S, Sender, send_all
from jobs.unruly import Sent, Unruly
from jobs.values import duration_ms
from models.items import Columns, Item, read_items, read_record
from online.visitors import CLICK, Visitors, find_tastes, perfect_share
from state.errors import HeadwaterError

RATE = 50.0  # records or visits a second
_SHARES = ("duplicates", "disorder", "bad")
_MINUTE = 60.0
_ANSWER_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this form."""
    topics = parser.add_argument_group("to a live job's topics")
    topics.add_argument("--config", type=Path, metavar="F", help="job.toml of the live job")
    topics.add_argument("--log", type=Path, metavar="F", help="events to send: a file, or a job.toml that names one")
    topics.add_argument(
        "--visitors", type=int, metavar="N", help="or: users with a known taste who click from their lists"
    )
    pace = topics.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=float, metavar="N", help=f"records, or visits, a second ({RATE:g})")
    pace.add_argument("--speed", type=float, metavar="X", help="or: X times as fast as the log was")
    topics.add_argument("--times", choices=("now", "log"), default="now", help="of the records (%(default)s)")
    topics.add_argument("--duplicates", type=float, default=0.0, metavar="P", help="share that is sent twice (0)")
    topics.add_argument(
        "--disorder", type=float, default=0.0, metavar="P", help="share that is sent after its time (0)"
    )
    topics.add_argument("--delay", default="500ms", metavar="T", help="by how much at most (%(default)s)")
    topics.add_argument(
        "--bad", type=float, default=0.0, metavar="P", help="share of unreadable records beside them (0)"
    )
    topics.add_argument("--send-items", action="store_true", help="send the log's items to items.topic first")
    topics.add_argument("--limit", type=int, metavar="N", help="records of the log, or visits (all; without end)")


def run(args: argparse.Namespace) -> int:
    """Run this form of the command."""
    config = load_config(args.config)
    unruly = _unruly(args)
    if (args.log is None) == (args.visitors is None):
        raise HeadwaterError(
            "expected one of --log F and --visitors N: a log to send, or visitors who act by themselves"
        )
    if not config.events.topic:
        raise HeadwaterError(f"{args.config} names no events.topic; expected the topic to send to; add it")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if args.log is not None:
        _send_log(args, config, unruly, stop)
    else:
        _send_visits(args, config, stop)
    return 0


def _unruly(args: argparse.Namespace) -> Unruly:
    """Return how unruly the stream is to be; hold that all numbers are in their ranges."""
    for name in _SHARES:
        if not 0 <= getattr(args, name) <= 1:
            raise HeadwaterError(f"--{name} is {getattr(args, name):g}; expected a share from 0 to 1, such as 0.01")
    for name, least in (("rate", 0.001), ("speed", 0.001), ("limit", 1), ("visitors", 1)):
        given = getattr(args, name)
        if given is not None and not least <= given < 1e9:
            raise HeadwaterError(f"--{name} is {given:g}; expected at least {least:g}")
    delay_ms = duration_ms(args.delay)
    if delay_ms < 0:
        raise HeadwaterError(f"--delay is {args.delay!r}; expected a duration such as 500ms or 3s")
    return Unruly(args.duplicates, args.disorder, args.bad, delay_ms / 1000)


def _send_log(args: argparse.Namespace, config: Config, unruly: Unruly, stop: threading.Event) -> None:
    log = _log_config(args.log)
    if args.send_items:
        _send_items(log, config)
    with tempfile.TemporaryDirectory() as folder:
        canonical = Path(folder) / "events.log"
        summary = write_canonical(log.events, canonical, limit=args.limit)
        first_ms = summary.first_ms
        begin_ms = time.time_ns() // 1_000_000

        def records() -> Iterator[Sent]:
            for number, record in enumerate(read_canonical(canonical)):
                log_s = (record.at_ms - first_ms) / 1000
                due_s = number / (args.rate or RATE) if args.speed is None else max(0.0, log_s / args.speed)
                yield Sent(due_s, log_s if args.times == "log" else due_s, record.key, record.value)

        zero_ms = first_ms if args.times == "log" else begin_ms
        sender = Sender(config, config.events.topic)
        plan = sorted(records(), key=lambda record: record.due_s) if args.speed is not None else records()
        send_all(unruly.disturb(iter(plan), args.seed), sender, lambda record: zero_ms + int(1000 * record.at_s), stop)
    print(f"{sender.sent:,} records to {config.events.topic}, from {summary.records:,} of {log.events.path}")


def _log_config(file: Path) -> Config:
    """Return where a log's events and items are."""
    if file.suffix == ".toml":
        config = load_config(file)
        if config.events.path is None:
            raise HeadwaterError(f"{file} reads events from a topic; expected a log in a file; name one with --log F")
        return config
    return config_from_flags(file, file)


def _send_items(log: Config, config: Config) -> None:
    """Send the items of a log."""
    if log.items.path is None or not config.items.topic:
        raise HeadwaterError("--send-items needs a job.toml with items.path as --log, and items.topic in --config")
    columns = log.items.columns
    sender = Sender(config, config.items.topic)
    now_ms = time.time_ns() // 1_000_000
    for item in read_items(log.items.path, Columns(columns.item, columns.text, columns.available_at)):
        sender.send(item.item.encode(), item_value(item), now_ms)
    sender.finish()
    print(f"{sender.sent:,} items to {config.items.topic}", file=sys.stderr, flush=True)


def item_value(item: Item) -> bytes:
    """Return an item as a record of the items topic; its text comes out as it went in."""
    rest = item.text[len(item.title) :].removeprefix(". ")
    return msgspec.json.encode({"item": item.item, "title": item.title, **({"description": rest} if rest else {})})


def _send_visits(args: argparse.Namespace, config: Config, stop: threading.Event) -> None:
    """Let visitors come until the end."""
    if not config.lists.topic or not config.items.topic:
        raise HeadwaterError(
            f"--visitors look at lists.topic and know the items of items.topic; add them to {args.config}"
        )
    tastes = find_tastes(_descriptions(config))
    if not tastes:
        raise HeadwaterError(
            f"no taste was found in the items of {config.items.topic}: expected words that 1 to 25 % of them share, "
            "at least 20 items each; send the items first, as with --send-items, or send a log with --log"
        )
    print(f"{args.visitors:,} visitors with {len(tastes)} tastes: {', '.join(tastes)}", file=sys.stderr, flush=True)
    visitors = Visitors(tastes, args.visitors, args.seed)
    lists = Lists(config, set(visitors.taste_of))
    lists.start()
    sender = Sender(config, config.events.topic)
    tally = Tally()
    start = told = time.monotonic()
    number = 0
    while args.limit is None or number < args.limit:
        if stop.wait(max(0.0, start + number / (args.rate or RATE) - time.monotonic())):
            break
        number += 1
        user = visitors.next_user()
        act = visitors.visit(user, lists.newest.get(user, ()))
        now = time.monotonic()
        tally.add(now, clicked=act is not None and act.action == CLICK)
        if act is not None:
            event = {"event_id": f"visit-{uuid.uuid4().hex}", "user": user, "item": act.item, "action": act.action}
            sender.send(user.encode(), msgspec.json.encode(event), time.time_ns() // 1_000_000)
        if now - told >= TELL_S:
            told = now
            print(tally.told(now), file=sys.stderr, flush=True)
    lists.stop.set()
    lists.join()
    sender.finish()
    print(f"{tally.told(time.monotonic())}; {sender.sent:,} events to {config.events.topic}")


class Tally:
    """How many visits ended in a click from the list: of all, and of the last minute."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._visits = self._clicks = 0
        self._recent: deque[tuple[float, bool]] = deque()

    def add(self, now: float, *, clicked: bool) -> None:
        """Count a visit."""
        self._visits += 1
        self._clicks += clicked
        self._recent.append((now, clicked))

    def told(self, now: float) -> str:
        """Return a line."""
        while self._recent and self._recent[0][0] < now - _MINUTE:
            self._recent.popleft()
        recent = sum(clicked for _, clicked in self._recent) / max(1, len(self._recent))
        return (
            f"{self._visits:>11,} visits, {self._clicks / max(1, self._visits):.0%} ended in a click from the list, "
            f"{recent:.0%} in the last minute; {perfect_share():.0%} if all in it were liked"
        )


class Lists(threading.Thread):
    """Reads the newest lists of some users, as their front ends would."""

    def __init__(self, config: Config, users: set[str]) -> None:
        """Read the topic from its start; call `start`."""
        super().__init__(name="lists", daemon=True)
        self.newest: dict[str, list[str]] = {}
        self.stop = threading.Event()
        self._users = users
        self._consumer = _whole_topic(config, config.lists.topic)

    def run(self) -> None:
        """Read until told to stop."""
        while not self.stop.is_set():
            for message in self._consumer.consume(500, 0.1):
                user = (message.key() or b"").decode(errors="replace")
                if message.error() or user not in self._users:
                    continue
                if message.value() is None:
                    self.newest.pop(user, None)
                else:
                    self.newest[user] = msgspec.json.decode(message.value(), type=_Shown).items
        self._consumer.close()


class _Shown(msgspec.Struct):
    items: list[str]


def _descriptions(config: Config) -> dict[str, str]:
    """Return item -> what its texts say beside the title, or the title where that is all."""
    from confluent_kafka import KafkaError

    found: dict[str, str] = {}
    consumer = _whole_topic(config, config.items.topic)
    left = len(consumer.assignment())
    deadline = time.monotonic() + _ANSWER_S
    while left and time.monotonic() < deadline:
        for message in consumer.consume(2000, 0.2):
            if message.error():
                left -= message.error().code() == KafkaError._PARTITION_EOF
                continue
            deadline = time.monotonic() + _ANSWER_S
            item = read_record(message.key(), message.value())
            if isinstance(item, Item):
                found[item.item] = item.text[len(item.title) :] or item.title
            else:
                found.pop((message.key() or b"").decode(errors="replace"), None)
    consumer.close()
    return found


def _whole_topic(config: Config, topic: str) -> Any:
    """Return a consumer of a topic from its start."""
    from confluent_kafka import TopicPartition

    consumer = open_consumer(config.kafka.bootstrap, config.kafka.properties, group=f"{config.name}-visitors")
    partitions = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
    if not partitions:
        raise HeadwaterError(
            f"Kafka at {config.kafka.bootstrap} has no topic {topic}; make it with headwater topics create --config"
        )
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    return consumer
