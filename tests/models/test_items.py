"""Laws of reading items."""

import gzip
import json
from itertools import islice
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cells import id_text
from models.embed import embed_catalogue
from models.items import MAX_BYTES, NEVER_MS, Columns, Item, Retired, Unreadable, load_items, read_items, read_record
from models.rows import SUFFIXES, open_table
from models.text_rows import PEEK_ROWS
from models.times import MAX_MS
from models.vectors import read_vectors, write_vectors
from online.catalogue import Catalogue
from state.errors import HeadwaterError
from tests.models.hash_encoder import HashEncoder

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


@pytest.mark.parametrize("end", SUFFIXES)
@pytest.mark.parametrize("zipped", [False, True])
def test_items_come_in_every_format_of_events(tmp_path: Path, end: str, zipped: bool) -> None:
    """Each end of a name that events may have, .gz or not; a CSV's header tells its delimiter."""
    form = SUFFIXES[end]
    file = tmp_path / f"items{end}{'.gz' if zipped else ''}"
    for delimiter in ",;\t|" if form == "csv" else ",":
        raw = written(tmp_path, form).read_bytes().replace(b",", delimiter.encode() if form == "csv" else b",")
        file.write_bytes(gzip.compress(raw) if zipped else raw)
        assert load_items(file) == EXPECTED


NOT = ["false", "False", "0", "no", " NO "]


@pytest.mark.parametrize("said", [*NOT, "true", "1", "yes", ""])
def test_an_item_that_is_not_available_never_becomes_so(tmp_path: Path, said: str) -> None:
    """It stays in the catalogue, closed, for events may name it; a time it would be available from changes nothing."""
    file = tmp_path / "items.csv"
    file.write_text(f"item,title,available_at,available\na,A,5,{said}\nb,B,,\n")
    assert load_items(file) == [Item("a", "A", NEVER_MS if said in NOT else 5000), Item("b", "B")]


def test_availability_by_type(tmp_path: Path) -> None:
    """JSON and Parquet say it with a boolean, also where only a later row has the key."""
    rows = [{"item": f"i{k}"} for k in range(PEEK_ROWS)] + [{"item": "off", "available": False}]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load_items(tmp_path / "items.jsonl")[-1] == Item("off", "", NEVER_MS)
    table = pyarrow.table({"item": ["a", "b", "c"], "available": [False, None, True]})
    pyarrow.parquet.write_table(table, tmp_path / "items.parquet")
    assert [item.available_at_ms for item in load_items(tmp_path / "items.parquet")] == [NEVER_MS, 0, 0]


def test_an_unavailable_item_stays_closed_in_the_catalogue(tmp_path: Path) -> None:
    """No tick opens it; an event that names it finds it there and does not open it either."""
    (tmp_path / "items.csv").write_text("item,title,available\na,A,no\nb,B,\n")
    items = load_items(tmp_path / "items.csv")
    made, _ = embed_catalogue(items, HashEncoder())
    write_vectors(tmp_path / "v", made)
    found = read_vectors(tmp_path / "v")
    catalogue = Catalogue.build(found.model_id, found.items, found.vectors, found.available_at_ms, 8)
    catalogue.advance(MAX_MS)
    assert catalogue.open[catalogue.row("a")] == 0
    assert catalogue.open[catalogue.row("b")] == 1


def test_ids_are_those_of_events(tmp_path: Path) -> None:
    """However an id is written, events and items of any format meet: no spaces around it, no fraction of a number."""
    files = {
        "csv": " 7 ,x\n 8,x\n",
        "jsonl": '{"item":7.0,"user":" x"}\n{"item":"8 ","user":"x"}\n',
    }
    pyarrow.parquet.write_table(pyarrow.table({"item": [7.0, 8.0, None], "user": "xxx"}), tmp_path / "x.parquet")
    for form, raw in files.items():
        (tmp_path / f"x.{form}").write_text("item,user\n" + raw if form == "csv" else raw)
    for form in (*files, "parquet"):
        file = tmp_path / f"x.{form}"
        with open_table(file, form) as table:
            events = [id_text((row.texts or [""])[0]) for row in table.rows(["item"])]
        items = [item.item for item in islice(read_items(file), 2)]
        assert events[:2] == items == ["7", "8"]
    (tmp_path / "x.csv").write_text("item,title\n  ,x\n")
    with pytest.raises(HeadwaterError, match=r"line 2 .* has no item"):
        load_items(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("none.csv", None, "no items file"),
        (
            "x.csv",
            b"itemm,title\n1,a\n",
            r'found .itemm., .title.; .* item = "itemm" under \[items.columns\]',
        ),
        ("x.csv", b"", "is empty"),
        ("x.csv", b"item,title\n", "no items"),
        ("x.csv", b"item,title\n,a\n", "line 2 .* no item"),
        ("x.csv", b"item,title\n1,a,b\n", "line 2 .* 3 fields where the header has 2"),
        ("x.csv", b"item,title\n1,\xff\n", "line 2 .* not UTF-8"),
        ("x.csv", b'item,title\n0,"a\nb"\n1,"a\n2,b\n', "line 4 .* a quote is not closed"),
        ("x.csv", b"item,title,item\n1,a,2\n", "has 2 columns 'item'; expected one"),
        ("x.csv", b"item,available\n1,maybe\n", "line 2 .*item '1'.*'maybe' for available; expected true or false"),
        ("x.csv", b"item,available_at\n1,soon\n", "line 2 .*item '1'.*time 'soon' for available_at"),
        ("x.csv.gz", gzip.compress(b"item,title\n" + b"1,a\n" * 999)[:40], "damaged"),
        ("x.jsonl", b'{"item": 1}\n{"item"', "line 2"),
        ("x.jsonl", b'{"item": 1}\n\n' + b"[" * 100_000, "line 3 "),
        ("x.jsonl", b'[{"item": 1}]', "expected one JSON object a line"),
        ("x.jsonl", b"\n\n", "only empty lines; expected one JSON object a line"),
        ("x.jsonl", b'{"item": 1}\n{"item": "\\ud800"}', "line 2 "),
        ("x.jsonl", b'{"id": 1}', "no column for the item; found 'id'"),
        ("x.parquet", b"PAR1nothing", "is damaged"),
        ("x.txt", b"item\n1\n", "not known by its name; .* .tsv, .jsonl, .ndjson, .json, .parquet, .pq,"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, name: str, raw: bytes | None, said: str) -> None:
    """Missing, damaged and wrong files raise a HeadwaterError that names what is wrong."""
    path = tmp_path / name
    if raw is not None:
        path.write_bytes(raw)
    with pytest.raises(HeadwaterError, match=said):
        load_items(path)


@pytest.mark.parametrize("column", ["text", "available_at", "item"])
def test_a_named_column_must_exist(tmp_path: Path, column: str) -> None:
    """A column that the configuration names is looked for by that name only, and what is suggested is another one."""
    file = tmp_path / "x.csv"
    file.write_text("item,title,from\n1,a,5\n")
    columns = Columns(**{column: ("titel",) if column == "text" else "titel"})  # type: ignore[arg-type]
    said = rf"no column 'titel', which items.columns.{column} names; found .*; did you mean 'title'\?"
    with pytest.raises(HeadwaterError, match=said):
        load_items(file, columns)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (b"k", b'{"item": "x", "title": "T", "brand": "B", "attributes": {"a": 1}}', Item("k", "T. B")),
        (None, b'{"item": 5, "text": "t", "available_at": 1600000000000}', Item("5", "t", 1_600_000_000_000)),
        (None, b'{"item": " i"}', Item(" i", "")),
        (b"k", b"{}", Item("k", "")),
        (b"k", b'{"available": false, "title": "T"}', Retired("k")),
        (b"k", None, Retired("k")),
    ],
)
def test_records(key: bytes | None, value: bytes | None, expected: object) -> None:
    """The record's key is the item, or else its field, to the letter as in events on a topic; false and null retire."""
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
    (None, b'{"item": " "}'),
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
