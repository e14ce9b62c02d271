"""A real log as a broker's clients would leave it: disordered, repeated, late and littered; and its item changes."""

import csv
import gzip
import itertools
import json
import zlib
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from models.vectors import VectorRecord, encode_record, text_sha256
from online.record import Record

EVENTS = Path(__file__).parents[2] / "examples" / "movietweetings" / "events.csv.gz"
HOUR_MS = 3_600_000
LATENESS_MS = 6 * HOUR_MS
MODEL, DIM = "random-32", 32  # small: fitting the projection costs DIM ** 3, and the law is not about the vectors


class Sent(NamedTuple):
    """A record and the reason for which it must become a dead letter, "" where it is an event."""

    record: Record
    reason: str


class _Arriving(NamedTuple):
    arrives_ms: int  # at the broker
    partition: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    reason: str


_EVENT = {"user": "u", "item": "i"}
GARBAGE: tuple[tuple[bytes | None, bytes | None, str], ...] = (  # key, value, reason
    (b"u", b'{"user":"u","item":"\xff\xfe"}', "bad_utf8"),
    (b"\xff\x00\n", bytes(range(256)), "bad_utf8"),
    (b"u", None, "null_value"),
    (None, None, "null_value"),
    (b"u", b"", "bad_json"),
    (b"u", b"\n\r\n", "bad_json"),
    (b"\n", b'{"user":\n"u",\r"item"', "bad_json"),
    (b"u", json.dumps({**_EVENT, "context": {"text": "x" * (2 << 20)}}).encode(), "too_large"),
    (b"u", b"[" * 100_000, "bad_schema"),  # not an object, whatever follows
    (b"u", b'{"user":"u","item":"i","more":' + b"[" * 100_000, "too_deep"),
    (b"u", json.dumps({**_EVENT, "item": 7}).encode(), "bad_schema"),
    (b"u", json.dumps({**_EVENT, "context": ["x"]}).encode(), "bad_schema"),
    (b"u", b'"\xe2\x90\x9f\xe2\x90\x9e\xe2\x90\x80"', "bad_schema"),  # the separators of a tick's line
    (b"u", b'{"user":"\\ud800","item":"i"}', "bad_json"),
    (b"u", b'{"user":"u","item":"\\udfff"}', "bad_json"),
    (b"u", json.dumps({**_EVENT, "item": "i" * 300}).encode(), "bad_id"),
    (b"u", json.dumps({**_EVENT, "item": ""}).encode(), "bad_id"),
    (b"another", json.dumps(_EVENT).encode(), "key_mismatch"),
    (None, json.dumps(_EVENT).encode(), "key_mismatch"),
    (b"u", json.dumps({**_EVENT, "domain": "another"}).encode(), "other_domain"),
)


def real_log(events: int, partitions: int) -> list[Sent]:
    """Return the first `events` real ones and what surrounds them, in the order of partition and offset.

    The real events arrive disordered within the bound; 2 % of them twice, 1 % once more after the bound; 1 % garbage.
    """
    random = Random(events)
    real = [_real(number, row, partitions, random) for number, row in enumerate(_rows(events))]
    garbage = (
        _Arriving(real[number].arrives_ms, number % partitions, real[number].at_ms, key, value, reason)
        for number, (key, value, reason) in zip(
            sorted(random.sample(range(events), events // 100)), itertools.cycle(GARBAGE), strict=False
        )
    )
    again = [
        each._replace(arrives_ms=each.at_ms + random.randrange(LATENESS_MS * 5 // 6))
        for each in random.sample(real, events // 50)
    ]
    late = [
        each._replace(arrives_ms=each.at_ms + random.randrange(2 * LATENESS_MS, 3 * LATENESS_MS))
        for each in random.sample(real, events // 100)
    ]
    return _placed(sorted([*real, *again, *late, *garbage], key=attrgetter("partition", "arrives_ms")))


def items_of(log: Iterable[Sent]) -> list[str]:
    """Return the items of the events, in order."""
    return sorted({json.loads(sent.record.value or b"")["item"] for sent in log if not sent.reason})


def initial_vectors(items: Sequence[str], at_ms: int) -> list[Record]:
    """Return the records that fill the vectors topic."""
    return [_vector(number, at_ms, item, _random_vector(item)) for number, item in enumerate(items)]


def item_changes(items: Sequence[str], first: int, start_ms: int, end_ms: int) -> list[Sent]:
    """Return changes of the catalogue spread over the log: new, moved, retired, and records to be refused."""
    step_ms = (end_ms - start_ms) // 12

    def change(number: int, item: str, vector: Any, **fields: Any) -> Record:
        return _vector(first + number, start_ms + (number + 1) * step_ms, item, vector, **fields)

    return [
        Sent(change(0, "new", _random_vector("new")), ""),
        Sent(change(1, items[5], _random_vector("elsewhere")), ""),
        Sent(change(2, items[7], None), ""),
        Sent(change(3, "unreadable", None)._replace(value=b"no vector"), "bad_vector"),
        Sent(change(4, items[9], _random_vector(items[9]), model="another"), "other_model"),
        Sent(change(5, items[11], np.ones(DIM + 1, np.float32)), "other_model"),
        Sent(change(6, "", _random_vector("x"))._replace(key=b"\xff"), "bad_id"),
        Sent(change(7, "announced", _random_vector("announced"), available_at_ms=start_ms + 10 * step_ms), ""),
        Sent(change(8, items[7], _random_vector(items[7])), ""),  # it returns
        Sent(change(9, items[13], None), ""),
        Sent(change(10, items[15], _random_vector(items[15])), ""),  # as it is
    ]


def in_parts(log: Sequence[Sent], count: int) -> list[list[Record]]:
    """Cut each partition in `count`; return the first pieces of all partitions, the second ones, and so on."""
    parts: list[list[Record]] = [[] for _ in range(count)]
    for partition in {sent.record.partition for sent in log}:
        records = [sent.record for sent in log if sent.record.partition == partition]
        cuts = [len(records) * number // count for number in range(count + 1)]
        for number, (start, end) in enumerate(itertools.pairwise(cuts)):
            parts[number] += records[start:end]
    return parts


def _rows(events: int) -> list[dict[str, str]]:
    with gzip.open(EVENTS, "rt", encoding="utf-8", newline="") as file:
        return list(itertools.islice(csv.DictReader(file), events))


def _real(number: int, row: dict[str, str], partitions: int, random: Random) -> _Arriving:
    user, at_ms = row["user"].encode(), int(row["ts"]) * 1000
    event = {"event_id": f"e{number}", "user": row["user"], "item": row["item"], "value": float(row["rating"])}
    arrives_ms = at_ms + random.randrange(LATENESS_MS // 2)
    return _Arriving(arrives_ms, zlib.crc32(user) % partitions, at_ms, user, json.dumps(event).encode(), "")


def _placed(arriving: Iterable[_Arriving]) -> list[Sent]:
    """Give offsets, and apply the definition of late."""
    log: list[Sent] = []
    for partition, group in itertools.groupby(arriving, key=attrgetter("partition")):
        newest = 0
        for offset, each in enumerate(group):
            late = each.at_ms < newest - LATENESS_MS
            newest = max(newest, each.at_ms)
            record = Record(partition, offset, each.at_ms, each.key, each.value, "")
            log.append(Sent(record, "late" if late else each.reason))
    return log


def _random_vector(name: str) -> Any:
    vector = np.random.default_rng(zlib.crc32(name.encode())).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _vector(offset: int, at_ms: int, item: str, vector: Any, model: str = MODEL, available_at_ms: int = 0) -> Record:
    value = None
    if vector is not None:
        value = encode_record(VectorRecord(model, text_sha256(item), available_at_ms, vector))
    return Record(0, offset, at_ms, item.encode(), value, "")
