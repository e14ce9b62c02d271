"""Laws of a share's bytes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.codec import Kind
from state.errors import CorruptBytes, UnknownSchema
from state.tick import SCHEMA_VERSION, Row, Share, UserShare, decode_share, encode_share
from state.user import HistoryState
from tests.golden.check import check_golden, read_golden, with_version
from tests.strategies import quick

GOLDEN = Share(
    shard=2,
    tick_ms=1_600_000_079_999,
    duplicates=1,
    dead=4,
    users=(
        UserShare(
            user="ann",
            before=None,
            rows=(Row(at_ms=1_600_000_020_000, event_id="e1", item="i1", basket="", partition=0, offset=17),),
        ),
        UserShare(
            user="dée",
            before=HistoryState(
                events=1,
                last_ms=1_600_000_000_000,
                basket="b",
                recent=("i2",),
                seen=("i2", "i9"),
                baskets=(1,),
                context=(5,),
            ),
            rows=(
                Row(at_ms=1_600_000_020_001, event_id="e2", item="i1", basket="b", partition=1, offset=3),
                Row(
                    at_ms=1_600_000_020_002,
                    event_id="e3",
                    item="i3",
                    basket="b",
                    partition=1,
                    offset=4,
                    action="buy",
                    context=(5, 9),
                ),
            ),
        ),
    ),
)  # by name, so that two fields that change places are seen
numbers = st.integers(0, 2**53)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
rows = st.builds(Row, numbers, texts, texts, texts, numbers, numbers, texts, st.lists(numbers, max_size=3).map(tuple))
befores = st.none() | st.builds(HistoryState, numbers, numbers, texts, st.tuples(texts), st.tuples(texts, texts))
users = st.builds(UserShare, texts, befores, st.lists(rows, max_size=3).map(tuple))
shares = st.builds(Share, numbers, numbers, numbers, numbers, st.lists(users, max_size=3).map(tuple))


@given(share=shares)
@quick
def test_round_trip(share: Share) -> None:
    """A share comes back, and equal shares have equal bytes."""
    raw = encode_share(share)
    assert decode_share(raw) == share
    assert encode_share(decode_share(raw)) == raw


def test_golden() -> None:
    """Version 3 is read as it was written."""
    assert decode_share(check_golden("share-3", encode_share(GOLDEN))) == GOLDEN


OLDER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "share-1": ({"baskets": (), "context": ()}, {"action": "", "context": ()}),
    "share-2": ({"context": ()}, {"context": ()}),
}  # file -> what users' pasts, and rows, had not


@pytest.mark.parametrize("name", OLDER)
def test_older_versions_are_read(name: str) -> None:
    """A share of before baskets, actions or contexts were kept has none; all else is as it was."""
    past, row = OLDER[name]
    users = []
    for user in GOLDEN.users:
        before = user.before and msgspec.structs.replace(user.before, **past)
        rows = tuple(msgspec.structs.replace(one, **row) for one in user.rows)
        users.append(msgspec.structs.replace(user, before=before, rows=rows))
    assert decode_share(read_golden(name)) == msgspec.structs.replace(GOLDEN, users=tuple(users))


def test_damage_and_newer_versions_are_refused() -> None:
    """A share that was cut or made by another build is refused."""
    raw = encode_share(GOLDEN)
    with pytest.raises(CorruptBytes):
        decode_share(raw[:-1])
    with pytest.raises(UnknownSchema, match="schema version 4; this build reads 3 and 2 and 1"):
        decode_share(with_version(raw, Kind.TICK, SCHEMA_VERSION, SCHEMA_VERSION + 1))
