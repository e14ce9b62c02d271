"""Laws of the vector file and record."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save_file

from models.vectors import (
    ItemVectors,
    VectorRecord,
    decode_record,
    encode_record,
    read_vectors,
    text_sha256,
    write_vectors,
)
from state.codec import Kind, frame
from state.errors import CorruptBytes, HeadwaterError, UnknownSchema
from tests.golden.check import check_golden, with_version

FLOATS = st.floats(-1, 1, width=32)
RECORDS = st.builds(
    VectorRecord,
    st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(0, 2**50),
    arrays(np.float32, st.integers(1, 40), elements=FLOATS),
)


def catalogue(n: int = 5, dim: int = 4) -> ItemVectors:
    vectors = np.random.default_rng(n).normal(size=(n, dim)).astype(np.float32)
    return ItemVectors("m@1", tuple(f'ü"{row}\n' for row in range(n)), vectors, np.arange(n, dtype=np.int64))


@given(RECORDS)
def test_record_round_trip(record: VectorRecord) -> None:
    """Every record comes back bit for bit."""
    found = decode_record(encode_record(record))
    assert found[:3] == record[:3]
    assert found.vector.dtype == np.float32
    assert found.vector.tobytes() == record.vector.tobytes()


@given(RECORDS, st.data())
def test_a_changed_record_is_refused(record: VectorRecord, data: st.DataObject) -> None:
    """One flipped bit or one missing byte never gives a vector."""
    raw = bytearray(encode_record(record))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    with pytest.raises((CorruptBytes, UnknownSchema)):
        decode_record(bytes(raw))
    with pytest.raises(CorruptBytes):
        decode_record(encode_record(record)[: data.draw(st.integers(0, len(raw) - 1))])


@pytest.mark.parametrize(
    "raw", [b"", b"abc", np.array([1, np.nan], "<f4").tobytes(), np.array([np.inf], "<f4").tobytes()]
)
def test_a_record_without_a_usable_vector_is_refused(raw: bytes) -> None:
    """A well-framed vector that is empty, torn or not finite is refused."""
    value = frame(Kind.VECTOR, 1, msgspec.msgpack.encode(("m", "00", 0, raw)))
    with pytest.raises(CorruptBytes):
        decode_record(value)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_file_round_trip(tmp_path: Path, n: int) -> None:
    """The file holds everything, is plain safetensors, and equal vectors give equal bytes."""
    path, again = tmp_path / "deep" / "v.safetensors", tmp_path / "w.safetensors"
    wrote = catalogue(n)
    write_vectors(path, wrote)
    write_vectors(again, wrote)
    found = read_vectors(path)

    assert (found.model_id, found.items) == (wrote.model_id, wrote.items)
    assert found.vectors.tobytes() == wrote.vectors.tobytes()
    assert found.vectors.shape == wrote.vectors.shape
    assert found.available_at_ms.tolist() == wrote.available_at_ms.tolist()
    assert path.read_bytes() == again.read_bytes()
    assert load_file(path)["vectors"].shape == (n, 4)
    assert [file.name for file in path.parent.iterdir()] == ["v.safetensors"]


def test_every_flipped_byte_of_a_file_is_found(tmp_path: Path) -> None:
    """A damaged vector file never loads: its own SHA-256 covers names, numbers and times."""
    path = tmp_path / "v.safetensors"
    write_vectors(path, catalogue(2, 2))
    raw = path.read_bytes()
    padding = raw.index(b"}}   ") + 2 if b"}}   " in raw else -1
    for at in range(len(raw)):
        if 8 + padding and raw[at : at + 1] == b" ":
            continue  # the header's padding means nothing
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(CorruptBytes):
            read_vectors(path)
    path.write_bytes(raw[:-1])
    with pytest.raises(CorruptBytes):
        read_vectors(path)


def test_what_is_not_whole_is_not_written(tmp_path: Path) -> None:
    """NaN names its item; two equal names and a missing file are told."""
    bad = catalogue(3)
    bad.vectors[1, 0] = np.nan
    with pytest.raises(CorruptBytes, match=r'item .ü"1'):
        write_vectors(tmp_path / "v", bad)
    twice = ItemVectors("m", ("a", "a"), np.ones((2, 1), np.float32), np.zeros(2, np.int64))
    with pytest.raises(CorruptBytes, match="expected each once"):
        write_vectors(tmp_path / "v", twice)
    with pytest.raises(HeadwaterError, match="no vector file"):
        read_vectors(tmp_path / "v")
    with pytest.raises(HeadwaterError, match="cannot write"):
        write_vectors(Path("/proc/none/v"), catalogue())


FOREIGN = [b"user,item,ts\nu,i,1\n", b"\x10\0\0\0\0\0\0\0{}", b"\xff" * 100, b"[]", b"x"]


@pytest.mark.parametrize("raw", FOREIGN)
def test_a_foreign_file_is_never_replaced(tmp_path: Path, raw: bytes) -> None:
    """What is no vector file stays as it is, and an error about it does not tell anyone to write over it."""
    path = tmp_path / "ev.csv"
    path.write_bytes(raw)
    with pytest.raises(HeadwaterError, match=r"is there already and no vector file; .*choose another --out"):
        write_vectors(path, catalogue())
    assert [path.read_bytes(), *tmp_path.iterdir()] == [raw, path]
    with pytest.raises(CorruptBytes, match=r"is no vector file: .*; name one made by") as caught:
        read_vectors(path)
    assert "ev.csv`" not in str(caught.value)


def test_what_may_be_replaced(tmp_path: Path) -> None:
    """A vector file, also a damaged one, and an empty file; not a folder, nor a file of plain safetensors."""
    path = tmp_path / "v"
    for raw in (None, b""):
        if raw is not None:
            path.write_bytes(raw)
        write_vectors(path, catalogue())
        write_vectors(path, catalogue(3))
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(CorruptBytes, match=r"no usable vector file: .*; make it again with .* --out v`"):
            read_vectors(path)
        write_vectors(path, catalogue())
        assert read_vectors(path).items == catalogue().items
    with pytest.raises(HeadwaterError, match="no vector file"):
        write_vectors(tmp_path, catalogue())
    save_file({"x": np.ones(3)}, tmp_path / "plain")
    with pytest.raises(HeadwaterError, match="no vector file"):
        write_vectors(tmp_path / "plain", catalogue())


def test_golden_record() -> None:
    """Records of the vectors topic, which is compacted and kept for ever, are read by every later build."""
    record = VectorRecord("m@1", text_sha256("Heat"), 1_600_000_000_000, np.array([1, -0.5, 0.25], np.float32))
    found = decode_record(check_golden("vector-1", encode_record(record)))
    assert found[:3] == record[:3]
    assert found.vector.tobytes() == record.vector.tobytes()


def test_a_record_of_another_version_is_refused() -> None:
    """The error names both versions."""
    raw = encode_record(VectorRecord("m@1", text_sha256(""), 0, np.ones(2, np.float32)))
    with pytest.raises(UnknownSchema, match="version 2; this build reads 1"):
        decode_record(with_version(raw, Kind.VECTOR, 1, 2))
