"""Laws of reading items."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.items import MAX_BYTES, Columns, Item, Retired, Unreadable, load_items, read_record
from state.errors import HeadwaterError

ROWS: list[dict[str, str | None]] = [
    {"item_id": "a", "title": "Heat", "genres": "Crime", "available_at": ""},
    {"item_id": "b", "title": "", "genres": None, "available_at": "1600000000"},
    {"item_id": "c", "title": "Alien", "genres": "", "available_at": "2020-09-13T12:26:40Z"},
]
EXPECTED = [Item("a", "Heat. Crime", 0), Item("b", "", 1_600_000_000_000), Item("c", "Alien", 1_600_000_000_000)]


def written(folder: Path, form: str) -> Path:
    path = folder / f"items.{form}"
    if form.startswith("csv"):
        text = "item_id,title,genres,available_at\n"
        text += "".join(",".join(str(value or "") for value in row.values()) + "\n" for row in ROWS)
        raw = b"\xef\xbb\xbf" + text.encode()
    elif form.startswith("jsonl"):
        raw = "\n".join(map(json.dumps, ROWS)).encode()
    else:
        plain = folder / "plain.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), plain)
        raw = plain.read_bytes()
    path.write_bytes(gzip.compress(raw) if form.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet", "parquet.gz"])
def test_every_format_reads_the_same(tmp_path: Path, form: str) -> None:
    """Columns are found by their usual names, absent text is "", times are seconds, ms or ISO."""
    assert load_items(written(tmp_path, form)) == EXPECTED


def test_last_row_of_an_item_wins_in_its_first_place(tmp_path: Path) -> None:
    """A catalogue may name an item twice; its order is that of first appearance."""
    path = tmp_path / "items.csv"
    path.write_text("item,title\na,old\nb,x\na,new\n")
    assert load_items(path) == [Item("a", "new"), Item("b", "x")]


def test_named_columns_and_numbers(tmp_path: Path) -> None:
    """Configuration may name any columns; numbers are ids as they are written."""
    path = tmp_path / "items.jsonl"
    path.write_text('{"sku": 7, "n": "Tea", "tags": ["hot", "green"], "from": 5}\n{"sku": 8, "n": "Cup"}\n')
    columns = Columns("sku", ("n", "tags"), "from")
    assert load_items(path, columns) == [Item("7", "Tea. hot green", 5000), Item("8", "Cup")]


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("none.csv", None, "no items file"),
        ("x.csv", b"itemm,title\n1,a\n", r"no column 'item'; found 'itemm', 'title'; did you mean 'itemm'"),
        ("x.csv", b"", "no items"),
        ("x.csv", b"item,title\n", "no items"),
        ("x.csv", b"item,title\n,a\n", "row 1 .* no item"),
        ("x.csv", b"item,title\n1,a,b\n", "line 2 .* more fields"),
        ("x.csv", b"item,title\n1,\xff\n", "not UTF-8"),
        ("x.csv", b'item,title\n1,"a\n', "no CSV"),
        ("x.csv", b"item,available_at\n1,soon\n", "item '1'.*time 'soon'"),
        ("x.csv.gz", gzip.compress(b"item,title\n" + b"1,a\n" * 999)[:40], "damaged"),
        ("x.jsonl", b'{"item": 1}\n{"item"', "line 2"),
        ("x.jsonl", b"[" * 100_000, "line 1"),
        ("x.jsonl", b'{"id": 1}', "no column 'item'"),
        ("x.parquet", b"PAR1nothing", "no whole Parquet"),
        ("x.txt", b"item\n1\n", "not known by its name"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, name: str, raw: bytes | None, said: str) -> None:
    """Missing, damaged and wrong files raise a HeadwaterError that names what is wrong."""
    path = tmp_path / name
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(HeadwaterError, match=said):
        load_items(path)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (b"k", b'{"item": "x", "title": "T", "brand": "B", "attributes": {"a": 1}}', Item("k", "T. B")),
        (None, b'{"item": 5, "text": "t", "available_at": 1600000000000}', Item("5", "t", 1_600_000_000_000)),
        (b"k", b"{}", Item("k", "")),
        (b"k", b'{"available": false, "title": "T"}', Retired("k")),
        (b"k", None, Retired("k")),
    ],
)
def test_records(key: bytes | None, value: bytes | None, expected: object) -> None:
    """The record's key is the item; null and available = false mean retired."""
    assert read_record(key, value) == expected


BAD = [
    (None, None),
    (None, b"{}"),
    (b"\xff", b"{}"),
    (b"k", b""),
    (b"k", b"\xff\xfe"),
    (b"k", b"[" * 100_000),
    (b"k", b'{"item": "' + b"x" * MAX_BYTES + b'"}'),
    (None, rb'{"item": "\ud800"}'),
    (b"k", rb'{"title": "\ud800"}'),
    (b"k", b'{"available_at": "soon"}'),
    (b"k", b'{"available_at": 1e300}'),
    (b"k", b'{"available_at": -5}'),
    (b"k", b'{"available": "no"}'),
    (b"k", b'{"title": NaN}'),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_bad_records_are_told_not_raised(key: bytes | None, value: bytes | None) -> None:
    """What is no item is Unreadable with a reason."""
    assert isinstance(read_record(key, value), Unreadable)


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=200) | st.text(max_size=50).map(json.dumps).map(str.encode),
)
def test_no_record_crashes(key: bytes | None, value: bytes | None) -> None:
    """Any bytes give one of the three, and an item that can be a key."""
    found = read_record(key, value)
    if not isinstance(found, Unreadable):
        assert found.item.encode()
