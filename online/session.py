"""One shard's tick: records in, users' states advanced, the learner's share and the dead letters out."""

import hashlib
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from online.event import Event, decode_event
from online.history import History, state_of
from online.record import Record
from online.settings import Settings
from state.tick import Row, Share, UserShare
from state.user import IDS_MAX, IDS_MS, UserState

_ID = struct.Struct("<q8s")
ACTION_MAX = 64  # characters that are kept of an action


class DeadLetter(NamedTuple):
    """A record that ends outside the users' states, and why (a code of `online.event.REASONS`)."""

    record: Record
    reason: str


class Folded(NamedTuple):
    """What one shard's tick leads to."""

    share: Share
    states: dict[str, UserState]  # of the users who acted
    dead: list[DeadLetter]


def fold_tick(
    shard: int,
    tick_ms: int,
    records: Iterable[Record],
    load: Callable[[str], UserState | None],
    settings: Settings,
) -> Folded:
    """Fold one shard's records of one tick into its users' states.

    The result does not depend on the order of `records`: they are folded in the order (event time, event id), a
    repeated event id of a user is dropped.

    Args:
        shard: number of the shard.
        tick_ms: last millisecond of the tick.
        records: the shard's records of the tick, in any order.
        load: returns a user's state before the tick, None for a new user.
        settings: of the loop.
    """
    dead: list[DeadLetter] = []
    by_user: dict[str, list[tuple[int, bytes, Event, Record]]] = {}
    for record in records:
        event = record.flag or decode_event(
            record.key, record.value, domain=settings.domain, max_bytes=settings.max_bytes
        )
        if isinstance(event, str):
            dead.append(DeadLetter(record, event))
            continue
        event_id = event.event_id or f"{record.partition}-{record.offset:020d}"
        by_user.setdefault(event.user, []).append((record.at_ms, event_id.encode(), event, record))
    dead.sort(key=lambda letter: (letter.record.partition, letter.record.offset))
    states: dict[str, UserState] = {}
    users: list[UserShare] = []
    duplicates = 0
    for user in sorted(by_user):
        events = sorted(by_user[user], key=lambda entry: (entry[0], entry[1], entry[3].partition, entry[3].offset))
        before = load(user)
        after, rows = _fold_user(before, events, settings)
        duplicates += len(events) - len(rows)
        if rows:
            states[user] = after
            users.append(UserShare(user, before.history if before else None, rows))
    return Folded(Share(shard, tick_ms, duplicates, len(dead), tuple(users)), states, dead)


def _fold_user(
    before: UserState | None, events: list[tuple[int, bytes, Event, Record]], settings: Settings
) -> tuple[UserState, tuple[Row, ...]]:
    """Fold one user's events, in order; return the state after and the events that were new."""
    history: History[str] = History(before.history if before else None, settings.candidates, list)
    ids = dict.fromkeys(_split(before.ids)) if before else {}
    known = {digest for _, digest in ids}
    rows = []
    for at_ms, event_id, event, record in events:
        digest = hashlib.blake2b(event_id, digest_size=8).digest()
        if digest in known:
            continue
        known.add(digest)
        ids[at_ms, digest] = None
        basket = event.basket or event.session or ""
        history.enter(at_ms, basket)
        history.advance(event.item, at_ms)
        rows.append(Row(at_ms, event_id.decode(), event.item, basket, record.partition, record.offset, _action(event)))
    kept = sorted(entry for entry in ids if entry[0] >= history.last_ms - IDS_MS)[-IDS_MAX:]
    return UserState(state_of(history), b"".join(_ID.pack(*entry) for entry in kept)), tuple(rows)


def _action(event: Event) -> str:
    """Return what is kept of the event's action: it is told in the metrics, and nothing is learned from it."""
    return (event.action or "")[:ACTION_MAX]


def _split(ids: bytes) -> Iterable[tuple[int, bytes]]:
    return ((at_ms, digest) for at_ms, digest in _ID.iter_unpack(ids))
