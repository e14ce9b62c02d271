"""Where a learner stands in its stream, as stored beside its inputs and tables (`online.process`)."""

import msgspec

from state.codec import Kind, frame, unframe

SCHEMA_VERSION = 1


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Where the learner stands."""

    identity: str  # of what the state was learned under
    done_ms: int  # newest tick learned and emitted; 0 before the first
    folded_ms: int  # newest tick that the stored tables contain


_DECODER = msgspec.msgpack.Decoder(Standing)


def encode_standing(standing: Standing) -> bytes:
    """Return the framed bytes."""
    return frame(Kind.META, SCHEMA_VERSION, msgspec.msgpack.encode(standing))


def decode_standing(raw: bytes) -> Standing:
    """Return the standing in `raw`; raises CorruptBytes or UnknownSchema."""
    return _DECODER.decode(unframe(raw, Kind.META, SCHEMA_VERSION))
