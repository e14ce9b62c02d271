"""Users: each one's newest list, the list before it, and the events that we saw of them."""

import hashlib
from collections import OrderedDict

import msgspec

from view.lines import ListLine
from view.store import ERASED, RECENT, USER, Entries, Store

SEEN_MAX = 20  # newest events of a user that are kept
RECENT_MAX = 50  # users that are offered to pick from


class Refreshed(msgspec.Struct, array_like=True, gc=False):
    """A list as it is kept."""

    at: int  # event time of the refresh: the tick's last millisecond
    head: int
    model_id: str
    event_id: str  # of the last event folded in, and where it lay
    partition: int
    offset: int
    items: list[str]
    scores: list[float]
    why: dict[str, list[float]] | None
    came_ms: int  # when it reached the topic, Unix ms


class Seen(msgspec.Struct, array_like=True, gc=False):
    """One event of a user."""

    at_ms: int
    item: str
    action: str
    rank: int  # of the item by headwater just before the event was learned; 0: it was no candidate


class Person(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a user."""

    now: Refreshed | None = None
    before: Refreshed | None = None
    seen: list[Seen] = []  # newest first


_ENCODER = msgspec.msgpack.Encoder()
_PERSON = msgspec.msgpack.Decoder(Person)
_USERS = msgspec.msgpack.Decoder(list[str])


class People:
    """All users, on disk; those of the batch at hand in memory until they are drained."""

    def __init__(self, store: Store) -> None:
        """Take up what is stored."""
        self._store = store
        self._changed: dict[str, Person | None] = {}
        self._erased: dict[bytes, int] = {}
        self._recent = OrderedDict.fromkeys(_USERS.decode(store.get(RECENT) or b"\x90"))
        self.recent: tuple[str, ...] = tuple(reversed(self._recent))

    def get(self, user: str) -> Person | None:
        """Return what is stored of a user."""
        raw = self._store.get(USER + user.encode())
        return None if raw is None else _PERSON.decode(raw)

    def find(self, prefix: str, most: int) -> list[str]:
        """Return users whose ids begin with `prefix`, in the order of their bytes."""
        return [prefix + rest.decode() for rest, _ in self._store.scan(USER + prefix.encode(), most)]

    def refresh(self, line: ListLine, came_ms: int) -> tuple[list[str], list[str]]:
        """Take over a list; return the items of the user's newest list before and after."""
        made = Refreshed(
            line.at, line.head, line.model_id, line.after.event_id, line.after.partition, line.after.offset,
            line.items, line.scores, line.why, came_ms,
        )  # fmt: skip
        person = self._load(line.user) or Person()
        old = person.now
        if old is None or line.at >= old.at:
            before = old if old is not None and old.at != line.at else person.before
            person = Person(made, before, person.seen)
        elif person.before is None or line.at > person.before.at:  # parts of a folder may be read in any order
            person = Person(old, made, person.seen)
        self._changed[line.user] = person
        self._recent[line.user] = None
        self._recent.move_to_end(line.user)
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        return [] if old is None else old.items, [] if person.now is None else person.now.items

    def see(self, user: str, seen: Seen, came_ms: int) -> None:
        """Add an event to a user's, unless the user was erased after it came."""
        erased_ms = self._erased_ms(user)
        if erased_ms is not None and came_ms <= erased_ms:
            return
        person = self._load(user) or Person()
        self._changed[user] = Person(person.now, person.before, [seen, *person.seen[: SEEN_MAX - 1]])

    def erase(self, user: str, came_ms: int) -> list[str]:
        """Forget a user, whose id is not kept either; return the items of the newest list."""
        person = self._load(user)
        self._changed[user] = None
        self._erased[_digest(user)] = came_ms
        self._recent.pop(user, None)
        return person.now.items if person and person.now else []

    def drain(self) -> Entries:
        """Yield what has changed since the last call, to be stored."""
        for user, person in self._changed.items():
            yield USER + user.encode(), None if person is None else _ENCODER.encode(person)
        for digest, came_ms in self._erased.items():
            yield ERASED + digest, came_ms.to_bytes(8, "big", signed=True)
        if self._changed:
            yield RECENT, _ENCODER.encode(list(self._recent))
            self.recent = tuple(reversed(self._recent))
        self._changed, self._erased = {}, {}

    def _load(self, user: str) -> Person | None:
        return self._changed[user] if user in self._changed else self.get(user)

    def _erased_ms(self, user: str) -> int | None:
        digest = _digest(user)
        if digest in self._erased:
            return self._erased[digest]
        stored = self._store.get(ERASED + digest)
        return None if stored is None else int.from_bytes(stored, "big", signed=True)


def _digest(user: str) -> bytes:
    return hashlib.sha256(user.encode()).digest()[:16]
