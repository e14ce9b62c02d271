"""What reads bytes, and what must hold of each reading whatever the bytes are."""

import base64
import json
from collections.abc import Callable
from random import Random

import msgspec
import numpy as np

from jobs.catalogues import decode_change
from models.items import Item, Retired, Unreadable, read_record
from models.vectors import VectorRecord, encode_record, text_sha256
from online.catalogue import ItemChange
from online.event import REASONS, Event, decode_event
from online.learner import After, UserList
from online.outputs import dead_letter_message, list_message
from online.record import Record, decode_line, encode_line
from online.session import DeadLetter, fold_tick
from state.errors import HeadwaterError
from state.standing import Standing, decode_standing, encode_standing
from state.tables import decode_tables, encode_tables
from state.tick import Row, Share, UserShare, decode_share, encode_share
from state.user import HistoryState, UserState, decode_user, encode_user
from tests.small import START_MS, TICK_MS, small_settings

SETTINGS = small_settings()
HISTORY = HistoryState(3, START_MS, "b", ("i01", "été"), ("i01",), (1, 1))
EVENTS = (
    b'{"user":"ann","item":"i01"}',
    b'{"event_id":"e1","user":"ann","item":"i01","action":"view","at":1600000000000,"value":4.5,"basket":"b1"}',
    b'{"user":"ann","item":"i01","session":"s","context":{"device":"phone","n":1},"domain":"","more":[1,{"x":null}]}',
    '{"user":"dée","item":"\u65e5\u672c\U0001f600","event_id":"\\u0001"}'.encode(),
    b'  {"item" : "i01" , "user" : "ann" }\n',
)


def _vector(model: str = "random-8") -> bytes:
    return encode_record(VectorRecord(model, text_sha256("x"), 0, np.ones(8, np.float32) / np.float32(8**0.5)))


def read_event(value: bytes, random: Random) -> str:
    """An event's bytes through the line, the decoder, the fold and the outputs."""
    user = msgspec_user(value)
    key = random.choice((user, user, user, b"ann", None, b"\xff\x00"))
    record = Record(0, 7, START_MS, key, value, "")
    assert decode_line(encode_line(record)) == record
    found = decode_event(key, value, domain="", max_bytes=SETTINGS.max_bytes)
    folded = fold_tick(0, START_MS + TICK_MS - 1, [record], lambda name: None, SETTINGS)
    if isinstance(found, Event):
        assert key == found.user.encode()
        assert len(folded.share.users) == 1 and not folded.dead
        assert decode_share(encode_share(folded.share)) == folded.share
        made = UserList(found.user, 1, 1, "m", After(0, 7, found.event_id or ""), [found.item], [0.5])
        told = json.loads(list_message(made).value)
        assert (told["user"], told["items"], list_message(made).key) == (found.user, [found.item], key)
        return "an event"
    assert found in REASONS
    assert [letter.reason for letter in folded.dead] == [found] and not folded.share.users
    line = json.loads(dead_letter_message("events", DeadLetter(record, found)).value)
    assert base64.b64decode(line["value_base64"]) == value
    return found


def msgspec_user(value: bytes) -> bytes | None:
    """Return the key that fits a value, where it names a user."""
    try:
        return msgspec.json.decode(value, type=Event).user.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def read_item(value: bytes, random: Random) -> str:
    """A record of the items topic."""
    found = read_record(random.choice((b"i01", None, value[:20])), value)
    if isinstance(found, Unreadable):
        assert found.reason in REASONS
        found.problem.encode()
        return found.reason
    assert isinstance(found, Item | Retired)
    found.item.encode()
    return "an item"


def read_change(value: bytes, random: Random) -> str:
    """A record of the vectors topic."""
    found = decode_change(
        (0, 0, START_MS, random.choice((b"i01", b"i01", b"i01", None, value[:20])), value), "random-8", 8
    )
    if isinstance(found, DeadLetter):
        assert found.reason in REASONS
        return found.reason
    assert isinstance(found, ItemChange) and found.vector is not None
    assert found.vector.shape == (8,) and np.isfinite(found.vector).all()
    return "a vector"


def read_line(value: bytes, random: Random) -> str:
    """A line of the canonical log."""
    return _refused(lambda raw: decode_line(raw.decode("utf-8", "replace")), value)


def _refused(decode: Callable[[bytes], object], value: bytes) -> str:
    try:
        decode(value)
    except HeadwaterError as error:
        return type(error).__name__
    return "read"


def _state(decode: Callable[[bytes], object], made: tuple[bytes, ...]) -> Callable[[bytes, Random], str]:
    def read(value: bytes, random: Random) -> str:
        told = _refused(decode, value)
        assert told != "read" or value in made, "bytes that were changed are read as if they were whole"
        return told

    return read


_USERS = (encode_user(UserState(HISTORY, b"12345678abcdefgh")),)
_SHARES = (encode_share(Share(1, START_MS, 0, 0, (UserShare("ann", HISTORY, (Row(1, "e", "i", "b", 0, 1, "v"),)),))),)
_STANDINGS = (encode_standing(Standing("identity", 5, 3)),)
_BLOCKS = tuple(raw for _, raw in encode_tables({"t": np.arange(12, dtype=np.float32).reshape(4, 3)}))

TARGETS: dict[str, tuple[Callable[[bytes, Random], str], tuple[bytes, ...], int]] = {
    "event": (read_event, EVENTS, 12),
    "item record": (read_item, (b'{"item":"i01","title":"A film","genres":["x"],"available_at":"2020-01-01"}',), 3),
    "vector record": (read_change, (_vector(), _vector("another")), 2),
    "canonical line": (read_line, (encode_line(Record(0, 1, 2, b"k", EVENTS[1], "")).encode(),), 1),
    "user state": (_state(decode_user, _USERS), _USERS, 1),
    "share": (_state(decode_share, _SHARES), _SHARES, 1),
    "standing": (_state(decode_standing, _STANDINGS), _STANDINGS, 1),
    "table block": (_state(lambda raw: decode_tables({"t/0": raw}), _BLOCKS), _BLOCKS, 1),
}
"""Name -> what reads and checks, bytes to start from, and how often it has its turn."""
