"""Laws of the frame: what was changed on its way is refused, and the text says what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.codec import Kind, frame, unframe
from state.errors import CorruptBytes, HeadwaterError, UnknownSchema
from tests.strategies import quick

PAYLOAD = bytes(range(256))


@given(kind=st.integers(0, 255), version=st.integers(0, 255), payload=st.binary(max_size=300))
@quick
def test_round_trip(kind: int, version: int, payload: bytes) -> None:
    """A frame gives its payload back and costs 12 bytes."""
    raw = frame(kind, version, payload)
    assert unframe(raw, kind, version) == payload
    assert len(raw) == len(payload) + 12


def test_any_flipped_bit_is_refused() -> None:
    """Each single bit of the frame is guarded, those of the head too."""
    raw = frame(Kind.USER, 1, PAYLOAD[:40])
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptBytes):
            unframe(bytes(damaged), Kind.USER, 1)


@pytest.mark.parametrize("size", [0, 1, 11, 12, 13, 267])
def test_any_truncation_is_refused(size: int) -> None:
    """A frame that was cut short is refused, wherever the cut."""
    with pytest.raises(CorruptBytes, match="restore an earlier savepoint"):
        unframe(frame(Kind.USER, 1, PAYLOAD)[:size], Kind.USER, 1)


def test_more_bytes_are_refused() -> None:
    """Bytes after the frame's end are damage."""
    with pytest.raises(CorruptBytes, match="256 payload bytes expected, 257 found"):
        unframe(frame(Kind.USER, 1, PAYLOAD) + b"x", Kind.USER, 1)


@given(raw=st.binary(max_size=40))
@quick
def test_arbitrary_bytes_are_refused(raw: bytes) -> None:
    """Bytes that are no frame are one clear error."""
    with pytest.raises(CorruptBytes):
        unframe(raw, Kind.USER, 1)


def test_another_kind_is_refused() -> None:
    """A whole frame in the wrong place is refused: kinds never meet."""
    with pytest.raises(CorruptBytes, match=r"kind 1; got magic b'HW', kind 2; .* restore an earlier savepoint"):
        unframe(frame(Kind.TICK, 1, PAYLOAD), Kind.USER, 1)


def test_a_newer_version_is_refused() -> None:
    """The text names both versions and what to do."""
    with pytest.raises(
        UnknownSchema,
        match="bytes of kind 3 have schema version 9; this build reads 2; "
        "restore with the build that wrote them, or add a migration",
    ):
        unframe(frame(Kind.TABLE, 9, PAYLOAD), Kind.TABLE, 2)


def test_errors_are_the_users() -> None:
    """The command line prints them without a traceback."""
    assert issubclass(CorruptBytes, HeadwaterError)
    assert issubclass(UnknownSchema, HeadwaterError)


def test_kinds_are_distinct() -> None:
    """A number stands for one kind, for ever: these are those of the released builds."""
    kinds = {name: number for name, number in vars(Kind).items() if name.isupper()}
    assert kinds == {"USER": 1, "TICK": 2, "TABLE": 3, "VECTOR": 4, "META": 5, "CHANGE": 6}
