"""`headwater dead-letters`: what could not be used and why, in a form to repair; and the repaired ones once more."""

import argparse
import base64
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from jobs.config import Config, load_config
from online.event import REASONS, Event, decode_event
from state.errors import HeadwaterError

_SHOWN_CHARACTERS = 60  # of a value, in the list for people
_WAIT_S = 10.0
_SEND_S = 60.0


class Letter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One dead letter, as `list --out` writes it and `replay` reads it; key and value are text where they can be."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # event time, Unix ms
    reason: str
    key: str | None = None
    value: str | None = None
    key_base64: str | None = None  # in place of `key`, where that is not UTF-8
    value_base64: str | None = None

    @property
    def place(self) -> str:
        """Where the record lay."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def key_bytes(self) -> bytes | None:
        """Return the record's key."""
        return _bytes(self.key, self.key_base64)

    def value_bytes(self) -> bytes | None:
        """Return the record's value."""
        return _bytes(self.value, self.value_base64)


class Repaired(NamedTuple):
    """A record that can be used now."""

    letter: Letter
    event: Event
    value: bytes  # the event's JSON, with an event id


_DECODER = msgspec.json.Decoder(Letter)
_ENCODER = msgspec.json.Encoder()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `headwater dead-letters`."""
    actions = parser.add_subparsers(dest="action", metavar="list|replay", required=True)
    shown = actions.add_parser("list", help="count them by reason, show examples, write them to be repaired")
    _add_source(shown)
    shown.add_argument("--reason", choices=sorted(REASONS), help="only those of one reason")
    shown.add_argument("--limit", type=int, default=10, metavar="N", help="how many to show (%(default)s)")
    shown.add_argument("--out", type=Path, metavar="FILE", help="write them all as JSON lines, to be repaired")
    again = actions.add_parser("replay", help="feed repaired ones once more, to the topic or to a file of events")
    again.add_argument("repaired", type=Path, metavar="FILE", help="what list --out wrote, with the values mended")
    again.add_argument("--config", type=Path, metavar="F", required=True, help="the job's job.toml")
    again.add_argument("--to", type=Path, metavar="FILE", help="write events as JSON lines, for headwater replay")
    again.add_argument(
        "--time",
        choices=("now", "original"),
        default="now",
        help="of the records that are sent: a running job takes those of long ago for late (%(default)s)",
    )


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, metavar="F", help="job.toml: from its topic of dead letters")
    source.add_argument("--from", dest="files", type=Path, metavar="DIR", help="from a replay's folder dead_letters")


def main(args: argparse.Namespace) -> int:
    """Run the command; `replay` returns 1 if a letter is still not to be used, and then feeds none."""
    return _list(args) if args.action == "list" else _replay(args)


def _list(args: argparse.Namespace) -> int:
    if args.limit < 0:
        raise HeadwaterError(f"--limit is {args.limit}; expected 0 or more")
    letters = _from_topic(load_config(args.config)) if args.config else _from_files(args.files)
    chosen = [letter for letter in letters if args.reason in (None, letter.reason)]
    for reason, count in Counter(letter.reason for letter in chosen).most_common():
        print(f"{count:>9,}  {reason}: {REASONS.get(reason, 'a reason of another version')}")
    for letter in chosen[: args.limit]:
        value = letter.value if letter.value_base64 is None else f"base64 {letter.value_base64}"
        print(f"{letter.place}  {letter.reason}  {json.dumps(value)[:_SHOWN_CHARACTERS]}")
    if args.out is not None:
        _write(args.out, map(_ENCODER.encode, chosen))
        print(f"{len(chosen):,} written to {args.out}; mend the values, then: headwater dead-letters replay {args.out}")
    elif not chosen:
        print("no dead letters")
    return 0


def _replay(args: argparse.Namespace) -> int:
    config = load_config(args.config)
    repaired: list[Repaired] = []
    refused = 0
    for letter in _read(args.repaired):
        found = repair(letter, config)
        if isinstance(found, Repaired):
            repaired.append(found)
        else:
            refused += 1
            print(f"{letter.place}: {found}", file=sys.stderr)
    if refused:
        print(f"{refused:,} of {refused + len(repaired):,} cannot be used; none was fed; mend them", file=sys.stderr)
        return 1
    if args.to is not None:
        _write(args.to, (_row(one) for one in repaired))
        print(f"{len(repaired):,} events written to {args.to}")
    else:
        _send(config, repaired, keep_time=args.time == "original")
        print(f"{len(repaired):,} events sent to {config.events.topic} at {config.kafka.bootstrap}, all or none")
    return 0


def repair(letter: Letter, config: Config) -> Repaired | str:
    """Return what a letter is now, or what is wrong with it still.

    The key becomes the event's user. An event without an id gets that of the place where it lay: fed twice, it counts
    once.
    """
    if letter.topic not in (config.events.topic, config.events.path and config.events.path.name):
        return f"it is of {letter.topic}, and this job's events are not; only events are fed once more"
    value = letter.value_bytes()
    user = _user_of(value)
    event = decode_event(user, value, domain=config.domain, max_bytes=config.events.max_bytes)
    if isinstance(event, str):
        return f"{event}: {REASONS[event]}"
    fields = json.loads(value or b"")
    if not event.event_id:
        fields = {"event_id": f"{letter.partition}-{letter.offset:020d}", **fields}
    return Repaired(letter, event, json.dumps(fields, ensure_ascii=False).encode())


class _Who(msgspec.Struct):
    user: str


def _user_of(value: bytes | None) -> bytes | None:
    """Return the key that a record with this value must have, None where it names no user."""
    try:
        return msgspec.json.decode(value or b"", type=_Who).user.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _row(one: Repaired) -> bytes:
    """Return an event as a line of an events file: its fields, and its time as `ts`."""
    return _ENCODER.encode({**json.loads(one.value), "ts": one.letter.timestamp})


def _send(config: Config, repaired: Iterable[Repaired], *, keep_time: bool) -> None:
    """Send records in one transaction, each to the partition in which it lay if that is its user's."""
    from confluent_kafka import KafkaException, Producer

    from jobs.kafka_client import SILENT, Admin, for_librdkafka

    if not config.events.topic:
        raise HeadwaterError(f"{config.name} reads its events from a file; write repaired ones to one with --to FILE")
    admin = Admin(config.kafka.bootstrap, config.kafka.properties)
    admin.metadata()  # it tells in one line what is wrong with the broker
    known = {k: v for k, v in for_librdkafka(dict(config.kafka.properties)).items() if k not in admin.ignored}
    ours = {
        "bootstrap.servers": config.kafka.bootstrap,
        "transactional.id": f"{config.name}-repaired",
        "message.max.bytes": 16 << 20,
        "partitioner": "murmur2_random",  # as Java's producers, by the key
    }
    try:
        producer = Producer({**known, **ours}, logger=SILENT)
        producer.init_transactions(_SEND_S)
        producer.begin_transaction()
        for one in repaired:
            where: dict[str, Any] = {"timestamp": one.letter.timestamp} if keep_time else {}
            key = one.event.user.encode()
            if key == one.letter.key_bytes():
                where["partition"] = one.letter.partition
            header = {"headwater.dead-letter": one.letter.place.encode()}
            producer.produce(config.events.topic, key=key, value=one.value, headers=header, **where)
            producer.poll(0)
        producer.commit_transaction(_SEND_S)
    except KafkaException as error:
        raise HeadwaterError(f"nothing was sent to {config.events.topic}: {error.args[0].str()}") from None


def _from_topic(config: Config) -> list[Letter]:
    """Return what the topic holds now."""
    from confluent_kafka import KafkaError, TopicPartition

    from jobs.kafka_client import open_consumer

    topic = config.dead_letters.topic
    if not topic:
        raise HeadwaterError("the configuration names no dead_letters.topic; for those of a replay give --from DIR")
    consumer = open_consumer(config.kafka.bootstrap, config.kafka.properties, group=f"{config.name}-dead-letters")
    letters = []
    try:
        there = consumer.list_topics(topic, timeout=_WAIT_S).topics[topic].partitions
        left = set(there)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in there])
        while left and (message := consumer.poll(_WAIT_S)) is not None:
            if message.error() is None:
                letters.append(_letter(message.value(), f"{topic}/{message.partition()}/{message.offset()}"))
            elif message.error().code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
            else:
                raise HeadwaterError(f"topic {topic} cannot be read: {message.error().str()}")
    finally:
        consumer.close()
    return letters


def _from_files(folder: Path) -> list[Letter]:
    """Return what lies in the finished files of a replay's folder."""
    if not folder.is_dir():
        raise HeadwaterError(f"--from is {folder}; expected a replay's folder dead_letters")
    return [letter for file in sorted(folder.glob("part-*")) for letter in _read(file)]


def _read(file: Path) -> Iterator[Letter]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield _letter(line, f"{file} line {number}")
    except OSError as error:
        raise HeadwaterError(f"cannot read {file}: {error.strerror}; expected dead letters as JSON lines") from None


def _letter(raw: bytes | None, where: str) -> Letter:
    """Return a letter; a key or value that is UTF-8 as text, so that it can be read and mended."""
    try:
        letter = _DECODER.decode(raw or b"")
        for name in ("key", "value"):
            encoded = getattr(letter, f"{name}_base64")
            if encoded is not None:
                text = _text(base64.b64decode(encoded, validate=True))
                if text is not None:
                    setattr(letter, name, text)
                    setattr(letter, f"{name}_base64", None)
    except (msgspec.DecodeError, ValueError) as error:
        raise HeadwaterError(f"{where} is no dead letter: {error}; expected a line as list --out writes it") from None
    return letter


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _bytes(text: str | None, encoded: str | None) -> bytes | None:
    if encoded is not None:
        return base64.b64decode(encoded)
    return None if text is None else text.encode()


def _write(file: Path, lines: Iterable[bytes]) -> None:
    try:
        file.write_bytes(b"".join(line + b"\n" for line in lines))
    except OSError as error:
        raise HeadwaterError(f"cannot write {file}: {error.strerror}; choose another file") from None
