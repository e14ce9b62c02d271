"""Random streams: events, records out of order within the lateness bound, duplicates, and bytes that are no event."""

import json
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from online.event import decode_event
from online.record import FLAGS, Record
from tests.small import ITEMS, LATENESS_MS, START_MS, record

quick = settings(max_examples=30, deadline=None, derandomize=True)
"""For laws over whole loops; the same examples in every run, because CI must not be a lottery."""

USERS = ("ann", "bob", "cid", "dée")
NEW_ITEMS = ("new-1", "new-2", "été")  # not in the initial catalogue


class Timed(NamedTuple):
    """A record to be: when, and what."""

    at_ms: int
    user: str
    item: str
    event_id: str
    basket: str


def user_actions() -> st.SearchStrategy[tuple[int, str, str, str]]:
    """Return actions as (ms since the one before, user, item, basket)."""
    gaps = st.sampled_from([0, 0, 1, 5_000, 20_000, 61_000, 31 * 60_000])
    items = st.sampled_from([*ITEMS, *ITEMS, *NEW_ITEMS])
    return st.tuples(gaps, st.sampled_from(USERS), items, st.sampled_from(["", "", "b1", "b2"]))


@st.composite
def timelines(draw: st.DrawFn, max_size: int = 30) -> list[Timed]:
    """Events in the order of their times; ids are distinct, and their order is not that of arrival."""
    actions = draw(st.lists(user_actions(), min_size=1, max_size=max_size))
    at_ms, timeline = START_MS, []
    for number, (gap, user, item, basket) in enumerate(actions):
        at_ms += gap
        timeline.append(Timed(at_ms, user, item, f"{(number * 7) % 31:02d}-{number}", basket))
    return timeline


def as_records(timeline: list[Timed], partition: int = 0) -> list[Record]:
    """Return the events as records of one partition, in the order given."""
    return [
        record(offset, t.at_ms, t.user, t.item, partition, event_id=t.event_id, basket=t.basket)
        for offset, t in enumerate(timeline)
    ]


@st.composite
def shuffled(draw: st.DrawFn, records: list[Record]) -> list[Record]:
    """The same records in another arrival order in which none is late, with the offsets of that order."""
    delays = draw(st.lists(st.integers(0, LATENESS_MS), min_size=len(records), max_size=len(records)))
    arrival = sorted(range(len(records)), key=lambda index: (records[index].at_ms + delays[index], delays[index]))
    return [records[index]._replace(offset=offset) for offset, index in enumerate(arrival)]


def nested(depth: int) -> bytes:
    """Return JSON that nests deeper than any parser's stack."""
    return b"[" * depth


def mutated_events() -> st.SearchStrategy[bytes]:
    """Return events' JSON with fields of all types, cut and spliced with other bytes."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    odd: st.SearchStrategy[Any] = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    )
    names = st.sampled_from(["user", "item", "event_id", "at", "value", "basket", "session", "context", "domain", "x"])
    fields = st.dictionaries(names, odd, max_size=6)
    valid = st.fixed_dictionaries({"user": st.sampled_from(USERS), "item": st.sampled_from(ITEMS)})
    objects = st.builds(lambda base, other: json.dumps(base | other).encode(), valid, fields)

    def splice(value: bytes, at: int, middle: bytes, skip: int) -> bytes:
        at = at % (len(value) + 1)
        return value[:at] + middle + value[at + skip :]

    return objects | st.builds(splice, objects, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))


def odd_bytes() -> st.SearchStrategy[bytes | None]:
    """Return bytes of all sorts, None included; few of them are events."""
    known = [
        b"", b"\x00", b"\xff\xfe", b"\n\r\n", b'"\\ud800"', b'{"user":"\\ud800","item":"i00"}', b"\xed\xa0\x80",
        b'{"user":"ann","item":"', nested(3000), b'{"user":"ann","item":"i00","x":' + nested(3000), b"NaN", b"1e999",
        b'{"user":"ann","item":"i00","value":1e999}', b"\xef\xbb\xbf{}", b'{"user":"ann","item":"' + b"i" * 300 + b'"}',
        b"x" * 20_000, "\u241f\u241e\u2400".encode(),
    ]  # fmt: skip
    return st.none() | st.sampled_from(known) | st.binary(max_size=40) | mutated_events()


@st.composite
def garbage(draw: st.DrawFn, never_events: bool = False) -> Record:
    """A record that is hardly ever an event; with `never_events`, never. Partition and offset are 0."""
    key = draw(st.none() | st.binary(max_size=8) | st.sampled_from([user.encode() for user in USERS]))
    flag = draw(st.sampled_from(["", "", "", *FLAGS]))
    value = draw(odd_bytes())
    if never_events and not flag and not isinstance(decode_event(key, value, domain="", max_bytes=10_000), str):
        value = None
    return Record(0, 0, START_MS + draw(st.integers(0, 300_000)), key, value, flag)


@st.composite
def dirty_records(draw: st.DrawFn) -> list[Record]:
    """A partition's records: events, copies of them, garbage, in any order of time, so that some are late."""
    clean = as_records(draw(timelines(20)))
    copies = draw(st.lists(st.sampled_from(clean), max_size=5))
    mixed = draw(st.permutations([*clean, *copies, *draw(st.lists(garbage(), max_size=8))]))
    return [one._replace(offset=offset) for offset, one in enumerate(mixed)]
