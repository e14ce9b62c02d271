"""Laws of what Sessions keeps at hand: it says what the store says, and it is bounded."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stores import MapStore, RecentStore
from tests.strategies import quick

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:httplib2")  # comes with beam


class Keyed(MapStore):
    """Keyed state as Flink has it: what is read and written is that of the key at hand."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, str], bytes] = {}
        self.key = 0
        self.reads = 0

    def get(self, key: str) -> bytes | None:
        self.reads += 1
        return self.entries.get((self.key, key))

    def put_all(self, entries: Mapping[str, bytes]) -> None:
        self.entries |= {(self.key, key): value for key, value in entries.items()}


names = st.sampled_from("abcd")
writes = st.dictionaries(names, st.binary(max_size=9), max_size=3)


@given(steps=st.lists(st.tuples(st.integers(0, 2), names, writes), max_size=40), most=st.integers(0, 40))
@quick
def test_it_says_what_the_store_says(steps: list[tuple[int, str, dict[str, bytes]]], most: int) -> None:
    """For every key, however little is kept; and it never keeps more bytes than it may."""
    store, truth = Keyed(), Keyed()
    recent = RecentStore(store, most)
    for key, name, written in steps:
        store.key = truth.key = key
        recent.enter(key)
        assert recent.get(name) == truth.get(name)
        recent.put_all(written)
        truth.put_all(written)
        assert sum(map(len, recent._recent.values())) == recent._bytes <= most
    assert store.entries == truth.entries


def test_what_was_written_last_is_not_read_again() -> None:
    """Within its bytes; the entries written longest ago go first, and a user who acts is written each time."""
    store = Keyed()
    recent = RecentStore(store, 10)
    recent.put_all({"a": b"12345", "b": b"12345"})
    assert recent.get("a") == b"12345"
    assert store.reads == 0
    recent.put_all({"c": b"1"})
    assert recent.get("b") == b"12345"
    assert store.reads == 0
    assert recent.get("a") == b"12345"
    assert store.reads == 1
