"""A small world out of a seed: settings, a log with everything bad in it, and changes of the catalogue."""

import json
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from jobs.catalogues import decode_change
from models.vectors import ItemVectors, VectorRecord, encode_record, text_sha256, write_vectors
from online.catalogue import Catalogue, ItemChange
from online.outputs import Message, dead_letter_message
from online.record import Record
from online.session import DeadLetter
from online.settings import Settings
from tests.faults.oracle import Expected, oracle
from tests.small import ITEMS, LATENESS_MS, LEARNING, START_MS, TICK_MS, encoded, small_catalogue, small_settings

EVENTS, CHANGES = "events", "vectors"  # topics
MODEL, DIM = "random-8", 8  # of `tests.small.small_catalogue`
_USERS = ("ann", "bob", "cid", "dée", "eve")
_GAPS_MS = (0, 1, 700, 9_000, 9_000, 20_000, 45_000, TICK_MS)
_IDLE_MS = 40 * TICK_MS  # a silence after which all that was in flight is long over
_GARBAGE = (
    None, b"", b"{", b"\xff\xfe", b"[" * 3000, b'{"user":"ann"}', b'{"user":"ann","item":7}',
    b'{"user":"","item":"i01"}', b'{"user":"bob","item":"i01"}', b'{"user":"ann","item":"\\ud800"}',
    b'{"user":"ann","item":"i01","domain":"x"}', b"\n\r\x00", b"x" * 20_000, "\u241f\u241e\u2400".encode(),
)  # fmt: skip


class World(NamedTuple):
    """What a run starts from. Equal seeds give equal worlds."""

    settings: Settings
    partitions: list[list[Record]]  # of the events, in the order of offsets
    changes: list[Record]  # of the vectors topic
    fold_events: int  # events between two folds of the learner's tables
    recent_bytes: int  # of users' states that Sessions keeps at hand


def make_world(seed: int) -> World:
    """Draw a world."""
    random = Random(f"world {seed}")
    learning = replace(LEARNING, batch=random.choice((4, 8, 32)), preset=random.choice(("full", "lean")))
    settings = replace(
        small_settings(random.choice(("unseen", "not_in_basket", "all")), learning), shards=random.randint(1, 4)
    )
    return World(
        settings,
        _log(random),
        _changes(random),
        fold_events=random.choice((1, 4, 12, 10_000)),
        recent_bytes=random.choice((0, 300, 1 << 20)),
    )


def write_catalogue(folder: Path) -> Path:
    """Write the vectors of the initial catalogue, the same for all worlds."""
    file = folder / "vectors.safetensors"
    write_vectors(file, ItemVectors(MODEL, ITEMS, encoded(ITEMS), np.zeros(len(ITEMS), np.int64)))
    return file


def expected(world: World) -> Expected:
    """Return what the oracle says."""
    decoded = [decode_change(tuple(change[:5]), MODEL, DIM) for change in world.changes]
    return oracle(
        [record for partition in world.partitions for record in partition],
        world.settings,
        initial_catalogue(),
        EVENTS,
        [change for change in decoded if isinstance(change, ItemChange)],
        [_refused(change) for change in decoded if isinstance(change, DeadLetter)],
    )


def initial_catalogue() -> Catalogue:
    """Return the catalogue that `write_catalogue` writes."""
    return small_catalogue()


def _refused(letter: DeadLetter) -> Message:
    return dead_letter_message(CHANGES, letter)


def _log(random: Random) -> list[list[Record]]:
    """Draw events in the order of time, deliver some twice, some late, most out of order, and garbage between."""
    at_ms = START_MS + random.randrange(TICK_MS)
    arriving: list[tuple[int, int, bytes | None, bytes | None]] = []  # arrives, happened, key, value
    for number in range(random.randint(4, 36)):
        at_ms += random.choice(_GAPS_MS) if random.random() > 0.02 else _IDLE_MS
        user = random.choice(_USERS[: random.randint(1, len(_USERS))])
        value: bytes | None = _event(random, number, user)
        delay_ms = random.choice((0, 0, random.randint(0, LATENESS_MS), random.randint(0, 3 * LATENESS_MS)))
        arriving.append((at_ms + delay_ms, at_ms, user.encode(), value))
        if random.random() < 0.2:  # delivered once more, in time or late
            arriving.append((at_ms + random.randint(0, 3 * LATENESS_MS), at_ms, user.encode(), value))
        if random.random() < 0.1:
            key = random.choice((b"ann", b"\xff", None))
            arriving.append((at_ms, at_ms, key, random.choice(_GARBAGE)))
    count = random.randint(1, 3)
    partitions: list[list[Record]] = [[] for _ in range(count)]
    for _, happened_ms, key, value in sorted(arriving, key=lambda one: one[0]):
        number = zlib.crc32(key or b"") % count
        partitions[number].append(Record(number, len(partitions[number]), happened_ms, key, value, ""))
    return partitions


def _event(random: Random, number: int, user: str) -> bytes:
    item = random.choice((*ITEMS, *ITEMS[:4], "new-1", "été"))
    fields = {"user": user, "item": item}
    if random.random() < 0.8:
        fields["event_id"] = f"{(number * 7) % 31:02d}-{number}"
    if random.random() < 0.4:
        fields["basket"] = random.choice(("b1", "b2"))
    return json.dumps(fields).encode()


def _changes(random: Random) -> list[Record]:
    """Draw changes: new, moved, retired, reopened and repeated items, and records to be refused."""
    changes: list[Record] = []
    moments = random.sample(range(-2, 30), random.choice((0, 0, 1, 3, 6)))
    for moment in moments:
        at_ms = START_MS + moment * TICK_MS // 2
        item = random.choice((*ITEMS[:5], "new-1", "new-2"))
        value: bytes | None = None
        if random.random() < 0.7:
            vector = encoded([item], random.randint(0, 3))[0]
            model = MODEL if random.random() < 0.9 else "another"
            value = encode_record(VectorRecord(model, text_sha256(item), 0, vector))
            if random.random() < 0.1:
                value = value[:-1]
        changes.append(Record(0, len(changes), at_ms, item.encode(), value, ""))
        if random.random() < 0.2:
            changes.append(changes[-1]._replace(offset=len(changes)))
    return changes
