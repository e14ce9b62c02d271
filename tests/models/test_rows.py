"""Laws of the tables that events and items are read from."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.cells import Row
from models.rows import SUFFIXES, form_of, open_table
from state.errors import HeadwaterError


def rows_of(file: Path, *columns: str, lists: bool = False) -> list[Row]:
    with open_table(file, form_of(file), lists=lists) as table:
        return list(table.rows(columns or table.columns))


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "x.parquet")
    return folder / "x.parquet"


def test_a_name_tells_the_format() -> None:
    """By the end of the name, in either case, .gz or not; a name that tells nothing gives ""."""
    for end, form in SUFFIXES.items():
        assert [form_of(Path(f"a.b{end}{more}")) for more in ("", ".gz", ".GZ")] == [form] * 3
        assert form_of(Path(f"a{end.upper()}")) == form
    assert [form_of(Path(name)) for name in ("csv", "a.txt", "a.gz", ".csv")] == [""] * 4


def test_the_lines_of_rows(tmp_path: Path) -> None:
    """A row is told by the line it begins in: after rows of two lines, empty lines and a quote that never closes."""
    file = tmp_path / "x.csv"
    file.write_text('\na,b\n1,"2\n2"\n\n3,"4\n5,6\n')
    with open_table(file, "csv") as table:
        assert table.line == 2
        assert [(table.line, row.texts) for row in table.rows(["a", "b"])] == [
            (3, ("1", "2\n2")), (6, None), (7, ("5", "6")),
        ]  # fmt: skip
    file = tmp_path / "x.jsonl"
    file.write_text('{"a":1}\n\n{"a":2}\n')
    with open_table(file, "jsonl") as table:
        assert [(table.line, row.texts) for row in table.rows(["a"])] == [(1, ["1"]), (3, ["2"])]


def test_a_key_that_comes_late_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON lines have no header: a column that the first rows lack is there for who asks for it."""
    monkeypatch.setattr("models.text_rows.PEEK_ROWS", 1)
    file = tmp_path / "x.jsonl"
    file.write_text('{"a":1}\n{"a":2,"b":3}\n')
    with open_table(file, "jsonl") as table:
        assert (table.columns, table.has_header) == (["a"], False)
        assert [row.texts for row in table.rows(["a", "b"])] == [["1", ""], ["2", "3"]]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1", "1"), ("1.0", "1"), ("1e2", "100"), ("-3.00", "-3"), ("1.50", "1.50"), ("12345678901234567", None),
        ("true", "true"), ("false", "false"), ("null", ""), ('"1.0"', "1.0"), ('" a"', " a"), ("1e400", None),
    ],
)  # fmt: skip
def test_numbers_as_texts(tmp_path: Path, written: str, text: str | None) -> None:
    """A whole JSON number loses its fraction, as in Parquet; a text stays as it is."""
    file = tmp_path / "x.jsonl"
    file.write_text(f'{{"a":{written}}}')
    expected = [written if text is None else text]
    assert [row.texts for row in rows_of(file)] == [expected]
    if text is not None and written != "1.50":
        value = msgspec.json.decode(written)
        assert [list(row.texts or ()) for row in rows_of(parquet(tmp_path, a=[value, None]), "a")][:1] == [expected]


@pytest.mark.parametrize(("lists", "text", "bad"), [(True, "x 2", ()), (False, "", (1,))])
def test_lists(tmp_path: Path, lists: bool, text: str, bad: tuple[int, ...]) -> None:
    """A list is a text of its parts where that is wanted; else its cell is bad, and the others are still there."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"a":1,"b":["x",2,null]}')
    for found in (rows_of(file, lists=lists), rows_of(parquet(tmp_path, a=[1], b=[["x", "2", None]]), lists=lists)):
        assert [(list(row.texts or ()), row.bad) for row in found] == [(["1", text], bad)]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])  # Parquet has no seconds
def test_times_of_any_unit_do_not_wrap_around(tmp_path: Path, unit: str) -> None:
    """A time is its milliseconds, rounded down, however far out: cast to 64 bits it would come back near 1970."""
    per_s = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    whole = [0, 1_600_000_000 * per_s, 2**63 - 1, -(2**63) + 1, -1]
    file = parquet(tmp_path, a=pa.array(whole, pa.timestamp(unit, "UTC")), b=["x"] * 5)
    with open_table(file, "parquet") as table:
        assert table.in_ms("a")
        found = list(table.rows(["a"]))
        assert [row.texts for row in found] == [(str(each * 1000 // per_s),) for each in whole]
        assert all(b'"b":"x"' in table.original(row.handle) for row in found)


def test_days(tmp_path: Path) -> None:
    """Dates are times at the start of their day."""
    days = parquet(tmp_path, a=pa.array([1, None, 2**31 - 1], pa.date32()), b=pa.array([86_400_000] * 3, pa.date64()))
    assert [row.texts for row in rows_of(days)] == [
        ("86400000", "86400000"), ("", "86400000"), (str((2**31 - 1) * 86_400_000), "86400000"),
    ]  # fmt: skip


def test_a_damaged_parquet_file_is_told_in_one_line(tmp_path: Path) -> None:
    """Wherever bytes are changed or cut, the rows come or one line says that the file is damaged, never a traceback."""
    file = parquet(tmp_path, user=[f"u{k}" for k in range(300)], ts=pa.array(range(300), pa.timestamp("ms")))
    raw, rng = file.read_bytes(), random.Random(1)
    told = 0
    for _ in range(300):
        changed = bytearray(raw)
        for _ in range(3):
            changed[rng.randrange(len(raw))] = rng.randrange(256)
        file.write_bytes(changed[: rng.choice([len(raw), rng.randrange(1, len(raw))])])
        try:
            with open_table(file, "parquet") as table:
                for row in table.rows(table.columns):
                    table.original(row.handle)
        except HeadwaterError as error:
            assert "is damaged" in str(error)
            assert "\n" not in str(error)
            told += 1
    assert told > 100


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    """One bad text is one bad cell of a column that says it holds texts."""
    texts = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    file = parquet(tmp_path, a=texts)
    with open_table(file, "parquet") as table:
        found = list(table.rows(["a"]))
        assert [(list(row.texts or ()), row.bad) for row in found] == [(["a"], ()), ([""], (0,))]
        assert all(table.original(row.handle) for row in found)
