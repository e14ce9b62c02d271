"""What a shard remembers of one user, and its bytes."""

import msgspec

from state.codec import Kind, frame, unframe

SCHEMA_VERSION = 3  # bump together with a migration in `decode_user`
WINDOW_MAX = 50  # newest items that an expert reads as a sequence; more are kept only where items may repeat
RECENT_MAX = 1_024  # newest items kept where items may repeat: they hold 30 of the 31 % of repeats of Online Retail
SEEN_MAX = 10_000  # items a user cannot be shown again; the oldest is forgotten beyond
IDS_MAX = 1_024  # event ids remembered per user, against duplicates
IDS_MS = 24 * 3_600_000  # an id is forgotten when it is older than the user's newest event by more than this


class HistoryState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A user's past as ranking and learning need it."""

    events: int  # accepted so far
    last_ms: int  # event time of the newest, Unix ms
    basket: str  # id of the current basket or session; "" when the log names none
    recent: tuple[str, ...]  # items, oldest first, at most RECENT_MAX
    seen: tuple[str, ...]  # distinct items that are no candidates, oldest first, at most SEEN_MAX
    baskets: tuple[int, ...] = ()  # since version 2: how many of `recent` are of each basket, oldest first
    context: tuple[int, ...] = ()  # since version 3: of the newest event that had one, hashed


class UserState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One user's row of keyed state."""

    history: HistoryState
    ids: bytes  # 16 bytes per remembered event: event time (int64 ms), BLAKE2b-64 of its id; oldest first


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(UserState)


def encode_user(state: UserState) -> bytes:
    """Return the framed bytes of one user's state; equal states give equal bytes."""
    return frame(Kind.USER, SCHEMA_VERSION, _ENCODER.encode(state))


def decode_user(raw: bytes) -> UserState:
    """Return the state in `raw`.

    Raises:
        CorruptBytes: not a user's state, or damaged.
        UnknownSchema: written by a schema version that this build does not read.
    """
    return _DECODER.decode(unframe(raw, Kind.USER, SCHEMA_VERSION, 2, 1))  # 2 ends before `context`, 1 before `baskets`
