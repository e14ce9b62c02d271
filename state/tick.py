"""One shard's share of a tick, on its way from Sessions to the Learner."""

import msgspec

from state.codec import Kind, frame, unframe
from state.user import HistoryState

SCHEMA_VERSION = 3
OLDER = (2, 1)  # read by the same decoder: 2 has neither `context`, 1 no `HistoryState.baskets` and `Row.action` too


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted event."""

    at_ms: int
    event_id: str
    item: str
    basket: str  # id of its basket or session, "" when it names none
    partition: int
    offset: int
    action: str = ""  # what the user did, as view or purchase; "" when the event names none
    context: tuple[int, ...] = ()  # since version 3: what the event says of user and circumstances, hashed


class UserShare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one user did in the tick, in order, and the past it starts from."""

    user: str
    before: HistoryState | None  # None: the user's first events
    rows: tuple[Row, ...]


class Share(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one shard saw in the tick; `users` sorted by id."""

    shard: int
    tick_ms: int  # last millisecond of the tick
    duplicates: int
    dead: int
    users: tuple[UserShare, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Share)


def encode_share(share: Share) -> bytes:
    """Return the framed bytes of a share; equal shares give equal bytes."""
    return frame(Kind.TICK, SCHEMA_VERSION, _ENCODER.encode(share))


def decode_share(raw: bytes) -> Share:
    """Return the share in `raw`; raises CorruptBytes or UnknownSchema."""
    return _DECODER.decode(unframe(raw, Kind.TICK, SCHEMA_VERSION, *OLDER))
