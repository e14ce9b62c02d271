"""The frame around every byte string that we store or send to ourselves: magic, kind, version, length, CRC."""

import struct
import zlib

from state.errors import CorruptBytes, UnknownSchema

MAGIC = b"HW"
_HEAD = struct.Struct("<2sBBII")  # magic, kind, schema version, payload bytes, CRC-32 of kind, version and payload


class Kind:
    """What a frame holds. A number is never used again for something else."""

    USER = 1  # one user's session state
    TICK = 2  # one shard's share of a tick, Sessions -> Learner
    TABLE = 3  # one block of rows of a learner's table
    VECTOR = 4  # one item's vector on the vectors topic
    META = 5  # the learner's counters and identity
    CHANGE = 6  # one change of the catalogue


def frame(kind: int, version: int, payload: bytes) -> bytes:
    """Wrap `payload`; the result is 12 bytes longer."""
    return _HEAD.pack(MAGIC, kind, version, len(payload), _crc(kind, version, payload)) + payload


def unframe(raw: bytes, kind: int, *versions: int) -> bytes:
    """Return the payload of a frame.

    Args:
        raw: the whole frame.
        kind: the kind expected, a number of `Kind`.
        versions: the schema versions that the caller reads.

    Raises:
        CorruptBytes: not a frame, of another kind, cut short, or changed.
        UnknownSchema: another schema version.
    """
    if len(raw) < _HEAD.size:
        raise CorruptBytes(
            f"expected a frame of at least {_HEAD.size} bytes; got {len(raw)}; restore an earlier savepoint"
        )
    magic, got_kind, got_version, length, crc = _HEAD.unpack_from(raw)
    if magic != MAGIC or got_kind != kind:
        raise CorruptBytes(
            f"expected a Headwater frame of kind {kind}; got magic {magic!r}, kind {got_kind}; "
            "these bytes belong to something else, or are damaged: restore an earlier savepoint"
        )
    payload = raw[_HEAD.size :]
    if len(payload) != length or _crc(kind, got_version, payload) != crc:
        raise CorruptBytes(
            f"a frame of kind {kind} is damaged: {length} payload bytes expected, {len(payload)} found, "
            "or its checksum differs; restore an earlier savepoint"
        )
    if got_version not in versions:
        raise UnknownSchema(
            f"bytes of kind {kind} have schema version {got_version}; this build reads "
            f"{' and '.join(map(str, versions))}; restore with the build that wrote them, or add a migration"
        )
    return payload


def _crc(kind: int, version: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(bytes((kind, version))))
