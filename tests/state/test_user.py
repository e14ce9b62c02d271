"""Laws of a user's bytes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.codec import Kind
from state.errors import CorruptBytes, UnknownSchema
from state.user import SCHEMA_VERSION, HistoryState, UserState, decode_user, encode_user
from tests.golden.check import check_golden, read_golden, with_version
from tests.strategies import quick

GOLDEN = UserState(
    history=HistoryState(
        events=3,
        last_ms=1_600_000_000_123,
        basket="basket-7",
        recent=("i1", "dée", "i1"),
        seen=("i1", "dée"),
        baskets=(2, 1),
        context=(7, 2**31 - 1),
    ),
    ids=b"".join(number.to_bytes(16, "little") for number in (1, 2, 3)),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
items = st.lists(texts, max_size=5).map(tuple)
counts = st.lists(st.integers(0, 99), max_size=3).map(tuple)
histories = st.builds(
    HistoryState, st.integers(0, 2**53), st.integers(-(2**62), 2**62), texts, items, items, counts, counts
)
states = st.builds(UserState, histories, st.binary(max_size=64))


@given(state=states)
@quick
def test_round_trip(state: UserState) -> None:
    """A state comes back, and equal states have equal bytes."""
    raw = encode_user(state)
    assert decode_user(raw) == state
    assert encode_user(decode_user(raw)) == raw


def test_golden() -> None:
    """Version 3 is read as it was written."""
    assert decode_user(check_golden("user-3", encode_user(GOLDEN))) == GOLDEN


def test_version_2_is_read() -> None:
    """Its bytes end before the context: none is told."""
    history = msgspec.structs.replace(GOLDEN.history, context=())
    assert decode_user(read_golden("user-2")) == UserState(history, GOLDEN.ids)


def test_version_1_is_read() -> None:
    """Its bytes end before the baskets: none are told."""
    history = msgspec.structs.replace(GOLDEN.history, baskets=(), context=())
    assert decode_user(read_golden("user-1")) == UserState(history, GOLDEN.ids)


def test_damage_and_newer_versions_are_refused() -> None:
    """No state is made up from bytes that this build did not write so."""
    raw = encode_user(GOLDEN)
    with pytest.raises(CorruptBytes):
        decode_user(raw[:-1])
    with pytest.raises(UnknownSchema, match="schema version 4; this build reads 3"):
        decode_user(with_version(raw, Kind.USER, SCHEMA_VERSION, SCHEMA_VERSION + 1))
