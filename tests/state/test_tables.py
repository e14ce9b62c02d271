"""Laws of tables as blocks of bytes: bit for bit the same, or refused."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import state.tables
from state.codec import Kind
from state.errors import CorruptBytes, UnknownSchema
from state.tables import SCHEMA_VERSION, Tables, decode_tables, encode_tables, sha256_of
from tests.golden.check import check_golden, with_version
from tests.strategies import quick

types = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8])
shapes = st.tuples(st.integers(0, 9)) | st.tuples(st.integers(0, 9), st.integers(1, 3))
arrays = types.flatmap(lambda dtype: hnp.arrays(dtype, shapes))
tables_of_all_sorts = st.dictionaries(st.sampled_from(["a", "a.b", "b/c", "z"]), arrays, max_size=4)


def encode(tables: Tables, block_bytes: int = 1 << 18) -> dict[str, bytes]:
    with mock.patch.object(state.tables, "BLOCK_BYTES", block_bytes):
        return dict(encode_tables(tables))


def small_tables(rows: int = 25) -> Tables:
    return {"x": np.arange(2.0 * rows, dtype=np.float32).reshape(rows, 2), "n": np.arange(3)}


@given(tables=tables_of_all_sorts, block_bytes=st.sampled_from([1, 8, 100, 1 << 18]))
@quick
def test_round_trip(tables: Tables, block_bytes: int) -> None:
    """Tables come back bit for bit, NaN and -0.0 included, from one block or many; they can be written to."""
    back = decode_tables(encode(tables, block_bytes))
    assert back.keys() == tables.keys()
    for name, table in tables.items():
        assert (back[name].dtype, back[name].shape) == (table.dtype, table.shape)
        assert back[name].tobytes() == table.tobytes()
        assert back[name].flags.writeable
    assert sha256_of(back) == sha256_of(tables)


def test_golden() -> None:
    """Version 1 is read as it was written."""
    ((key, raw),) = encode_tables({"X": np.array([[1.5, -2.0], [0.1, 1e-30]], np.float32)}).__iter__()
    back = decode_tables({key: check_golden("table-1", raw)})
    assert key == "X/0"
    assert back["X"].dtype == np.float32
    assert back["X"].tolist() == np.array([[1.5, -2.0], [0.1, 1e-30]], np.float32).tolist()


def test_only_changed_blocks_differ() -> None:
    """A change of one row changes the bytes of one block: that is why there are blocks."""
    tables = small_tables()
    before = encode(tables, 40)
    tables["x"][13] += 1
    after = encode(tables, 40)
    assert [key for key in after if after[key] != before[key]] == ["x/2"]


def test_more_than_ten_blocks_keep_their_order() -> None:
    """Block 10 comes after block 9, not after block 1."""
    blocks = encode(small_tables(), 8)
    assert len(blocks) > 20
    shuffled = dict(sorted(blocks.items(), reverse=True))
    assert np.array_equal(decode_tables(shuffled)["x"], small_tables()["x"])


@pytest.mark.parametrize("rows", [0, 1, 5, 24])
def test_blocks_left_over_are_ignored(rows: int) -> None:
    """A table that became shorter leaves blocks behind that mean nothing."""
    blocks = encode(small_tables(25), 40) | encode(small_tables(rows), 40)
    assert np.array_equal(decode_tables(blocks)["x"], small_tables(rows)["x"])


@pytest.mark.parametrize("key", ["x/0", "x/2", "x/4"])
def test_a_missing_block_is_refused(key: str) -> None:
    """A table without one of its blocks is refused, not filled with zeros."""
    blocks = encode(small_tables(), 40)
    del blocks[key]
    with pytest.raises(CorruptBytes, match=r"table x: expected .*; restore an earlier savepoint"):
        decode_tables(blocks)


def test_swapped_and_stale_blocks_are_refused() -> None:
    """Whole frames in the wrong place are refused: another block, another life of the table."""
    blocks = encode(small_tables(), 40)
    with pytest.raises(CorruptBytes, match=r"from row 0; got one of shape .* from row 5"):
        decode_tables(blocks | {"x/0": blocks["x/1"]})
    with pytest.raises(CorruptBytes, match="table x: expected"):
        decode_tables(blocks | {"x/1": encode(small_tables(24), 40)["x/1"]})


def test_damage_and_newer_versions_are_refused() -> None:
    """A block with a flipped bit, or of another build, is refused."""
    blocks = encode(small_tables())
    damaged = bytearray(blocks["x/0"])
    damaged[100] ^= 4
    with pytest.raises(CorruptBytes, match="checksum"):
        decode_tables(blocks | {"x/0": bytes(damaged)})
    newer = with_version(blocks["x/0"], Kind.TABLE, SCHEMA_VERSION, SCHEMA_VERSION + 1)
    with pytest.raises(UnknownSchema, match="schema version 2; this build reads 1"):
        decode_tables(blocks | {"x/0": newer})


def test_the_fingerprint_sees_everything() -> None:
    """Names, types, shapes and single bits change it; the order of the names does not."""
    base: Tables = {"a": np.zeros(4, np.float32), "b": np.ones(2, np.int64)}
    variants: list[Tables] = [
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"].view(np.int32), "b": base["b"]},
        {"a": base["a"].reshape(2, 2), "b": base["b"]},
        {"a": np.array([0, 0, 0, -0.0], np.float32), "b": base["b"]},
        {"a": base["a"]},
    ]
    prints = [sha256_of(tables) for tables in [base, *variants]]
    assert len(set(prints)) == len(prints)
    assert sha256_of(dict(reversed(base.items()))) == prints[0]
