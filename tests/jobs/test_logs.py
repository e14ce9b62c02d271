"""Laws of the reader of events files: every row becomes one record, and nothing is lost on the way."""

import csv
import gzip
import io
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config import EventColumns
from jobs.event_ids import EventIds
from jobs.logs import read_canonical, write_canonical
from models.rows import open_table
from models.times import MAX_MS, time_reader
from online.event import Event
from state.errors import HeadwaterError
from tests.jobs.canonical_logs import event, events_of, read, read_csv

HOUR_MS = 3_600_000


def test_rows_become_standard_events(tmp_path: Path) -> None:
    """A good row is an event that the loop's own decoder reads; partition 0, offset the row's number."""
    summary, records = read_csv(
        tmp_path, "user,item,rating,ts,action,basket,session,event_id\nu,i,6,1000,view,b,s,e1\nu,j,2.50,1001,,,,\n"
    )
    assert [record[:4] for record in records] == [(0, 0, 1_000_000, b"u"), (0, 1, 1_001_000, b"u")]
    first, second = map(event, records)
    assert first == Event("u", "i", "e1", "view", None, 6.0, "b", "s")
    assert (second.item, second.value, second.action, second.basket) == ("j", 2.5, None, None)
    assert second.event_id is not None
    assert second.event_id.startswith("000000-")
    assert summary[:3] == (2, 1_000_000, 1_001_000)
    assert summary.flags == {}


def test_bad_rows_keep_their_bytes(tmp_path: Path) -> None:
    """Each kind of bad row has its flag, its original bytes, and the time of the newest row before it."""
    rows = {
        b"u,i,soon": "bad_time",
        b"u,i,5000": "",
        b",i,5000": "missing_user",
        b"u,,5000": "missing_item",
        b"u,i,yesterday": "bad_time",
        b"u,i": "bad_row",
        b"u,i,5000,6": "bad_row",
        b"u\xff,i,5000": "bad_row",
        b"u,i,5001": "",
    }
    summary, records = read_csv(tmp_path, b"user,item,ts\n" + b"\n".join(rows))
    assert [record.flag for record in records] == list(rows.values())
    assert [record.value for record in records if record.flag] == [raw for raw, flag in rows.items() if flag]
    assert [record.at_ms for record in records] == [0, *[5_000_000] * 7, 5_001_000]
    assert [record.key for record in records] == [b"u", b"u", None, b"u", b"u", None, None, None, b"u"]
    assert summary.flags == {"bad_row": 3, "bad_time": 2, "missing_item": 1, "missing_user": 1}
    assert summary.examples["bad_row"] == "first in row 6: 2 fields where the header has 3"
    assert summary.records == len(rows)


def test_late_is_a_property_of_the_log(tmp_path: Path) -> None:
    """A row is late when it is older than the newest before it by more than the bound; it keeps its bytes and time."""
    _, records = read_csv(
        tmp_path, "user,item,ts\nu,a,100\nu,b,40\nu,c,39\nu,d,200\nu,e,140\nu,f,139\n", lateness_ms=60_000
    )
    assert [record.flag for record in records] == ["", "", "late", "", "", "late"]
    assert (records[2].at_ms, records[2].value, records[2].key) == (39_000, b"u,c,39", b"u")


def test_limit_is_the_first_rows(tmp_path: Path) -> None:
    """A limit counts rows, bad ones too."""
    summary, records = read_csv(tmp_path, "user,item,ts\nu,a,1\nu,b\nu,c,3\n", limit=2)
    assert (summary.records, [record.flag for record in records]) == (2, ["", "bad_row"])


def test_quotes_and_line_ends(tmp_path: Path) -> None:
    """Quoted delimiters, quotes and line ends belong to the field; a mark at the start of the file does not."""
    raw = '\ufeffuser,"item",ts\r\n"a,b","say ""hi""",1\r\n"two\r\nlines",i,2\r\n\r\n"x",,3\r\n'
    _, records = read_csv(tmp_path, raw)
    assert [record.flag for record in records] == ["", "", "missing_item"]
    assert [(event(r).user, event(r).item) for r in records[:2]] == [("a,b", 'say "hi"'), ("two\r\nlines", "i")]
    assert records[2].value == b'"x",,3'


def test_an_open_quote_spoils_only_its_line(tmp_path: Path) -> None:
    """A quote that never closes does not swallow the rest of the file."""
    _, records = read_csv(tmp_path, 'user,item,ts\n"u,i,1\nu,j,2\nu,k,3\n')
    assert (records[0].flag, records[0].value) == ("bad_row", b'"u,i,1')
    assert [event(record).item for record in records[1:]] == ["j", "k"]


def test_quoted_row_with_bad_bytes_is_one_row(tmp_path: Path) -> None:
    """Invalid UTF-8 inside a row of two lines spoils that row, no more and no less."""
    _, records = read_csv(tmp_path, b'user,item,ts\n"u\n\xff",i,1\nu,j,2\n')
    assert (records[0].flag, records[0].value) == ("bad_row", b'"u\n\xff",i,1')
    assert event(records[1]).item == "j"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    """The header tells the delimiter."""
    _, records = read_csv(tmp_path, "user,item,ts\nu,i,1\n".replace(",", delimiter))
    assert event(records[0]).item == "i"


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
log_rows = st.lists(st.tuples(ids, ids, st.integers(0, MAX_MS // 1000)), min_size=1, max_size=20)


@settings(deadline=None)
@given(rows=log_rows, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]], quoting: Any
) -> None:
    """What Python's csv module writes comes back but for spaces around ids, whatever these hold: quotes, line ends."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting)
    writer.writerows([("user", "item", "ts"), *rows])
    _, records = read_csv(tmp_path_factory.mktemp("csv"), text.getvalue(), time_unit="s", lateness_ms=MAX_MS)
    found = [(event(r).user, event(r).item, r.at_ms) for r in records]
    assert found == [(u.strip(), i.strip(), t * 1000) for u, i, t in rows]


@settings(deadline=None)
@given(raw=st.binary(max_size=200))
def test_garbage_never_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Whatever bytes follow, a good row before them is read, and a flagged record holds bytes of the file."""
    _, records = read_csv(tmp_path_factory.mktemp("garbage"), b"user,item,ts\nu,i,1\n" + raw)
    assert event(records[0]).item == "i"
    for record in records[1:]:
        assert record.value is not None
        assert not record.flag or record.value in raw


def three_formats(folder: Path) -> list[Path]:
    """Write one log of integers, texts and an absent value as CSV, JSON lines and Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {"user": [1, 2, 1], "item": ["a", "b\nc", "ü"], "ts": [10, 11, 12], "value": [1.5, None, 2.0]}
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    with (folder / "x.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "x.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    pq.write_table(pa.table(table), folder / "x.parquet")
    return [folder / "x.csv", folder / "x.jsonl", folder / "x.parquet"]


@pytest.mark.parametrize("zipped", [False, True])
def test_formats_agree(tmp_path: Path, zipped: bool) -> None:
    """CSV, JSON lines and Parquet, plain or gzip, of one log give one canonical log, derived ids and all."""
    files = three_formats(tmp_path)
    if zipped:
        for file in files:
            Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
        files = [Path(f"{file}.gz") for file in files]
    logs = [read(file) for file in files]
    assert logs[0] == logs[1] == logs[2]
    assert [(event(r).user, event(r).item) for r in logs[0][1]] == [("1", "a"), ("2", "b\nc"), ("1", "ü")]


def test_json_lines(tmp_path: Path) -> None:
    """Whole numbers have no fraction, null is absent, and what is no object of texts and numbers keeps its bytes."""
    lines = [
        b'{"user":1.0,"item":"i","at":1000000000000,"basket":null,"extra":[1]}',
        b'{"user":"u","item":["i"],"at":1}',
        b'{"user":"\\ud800","item":"i","at":1}',
        b"[1]",
        b"",
        b'{"user":"u","item":"i"',
        b'{"user":"u","at":1000000000000}',
        b"[" * 100_000,
        b'{"basket":["b"],"item":"i","at":1000000000000,"user":"u"}',
    ]
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"\n".join(lines))
    _, records = read(file)
    assert [r.flag for r in records] == [
        "",
        "bad_row",
        "bad_row",
        "bad_row",
        "bad_row",
        "missing_item",
        "bad_row",
        "bad_row",
    ]
    assert event(records[0]).user == "1"
    assert [r.value for r in records[1:]] == [line for line in lines[1:] if line]


def test_parquet_types(tmp_path: Path) -> None:
    """Times by type need no unit; ids of a data frame's floats are whole; a bad row keeps all its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "user": pa.array([7.0, None, 9.0]),
            "item": pa.array([b"a", b"b", b"\xff"]),
            "time": pa.array([1, 2, 3], pa.timestamp("ns", "UTC")).cast(pa.timestamp("us", "UTC"), safe=False),
            "note": ["x", "y", "z"],
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    _, records = read(tmp_path / "log.parquet")
    assert [(r.flag, r.at_ms) for r in records] == [("", 0), ("missing_user", 0), ("bad_row", 0)]
    assert (event(records[0]).user, event(records[0]).item) == ("7", "a")
    assert records[1].value is not None
    assert msgspec.json.decode(records[1].value)["note"] == "y"


@pytest.mark.parametrize(
    ("unit", "text", "ms"),
    [
        ("auto", "1291191960", 1_291_191_960_000),
        ("auto", "1291191960123", 1_291_191_960_123),
        ("auto", "1291191960.1239", 1_291_191_960_123),
        ("auto", " 1.29119196e9 ", 1_291_191_960_000),
        ("auto", "2010-12-01T08:26:00Z", 1_291_191_960_000),
        ("auto", "2010-12-01 09:26:00.1239+01:00", 1_291_191_960_123),
        ("auto", "2010-12-01 08:26", 1_291_191_960_000),
        ("iso", "2010-12-01", 1_291_161_600_000),
        ("iso", "2010-12-01T09:26:00+0100", 1_291_191_960_000),
        ("iso", "1291191960", -1),
        ("s", "5000000000000", -1),
        ("s", "2010-12-01", -1),
        ("ms", "1291191960", 1_291_191_960),
        ("ms", "0", 0),
        *[
            ("auto", bad, -1)
            for bad in ("", "-1", "nan", "1e99", "1_0", "٣", "2010-02-30", "10:00", "1969-12-31", "0x1")
        ],
    ],
)
def test_times(unit: str, text: str, ms: int) -> None:
    """A time is seconds, milliseconds or ISO 8601; anything else is no time."""
    assert time_reader(unit)(text) == ms


def shuffled(rows: list[str], times: list[int], bound_s: int) -> list[str]:
    """Return the rows in an order in which none is older than one before it by more than the bound."""
    rng = random.Random(1)
    return [row for _, row in sorted(zip([t + rng.uniform(0, bound_s) for t in times], rows, strict=True))]


def test_shuffled_within_the_bound_is_the_same_log(tmp_path: Path) -> None:
    """Arrival order within the lateness bound changes neither the events, nor their ids, nor how many are late."""
    rng = random.Random(0)
    times = sorted(rng.randrange(100_000) for _ in range(3000))
    rows = [f"u{rng.randrange(5)},i{rng.randrange(3)},{time // 60 * 60}" for time in times]
    mixed = shuffled(rows, times, 3500)
    assert mixed != rows
    first, second = (read_csv(tmp_path, "user,item,ts\n" + "\n".join(lines))[1] for lines in (rows, mixed))
    identities = [Counter((r.at_ms, event(r).event_id, event(r).item) for r in log) for log in (first, second)]
    assert identities[0] == identities[1]
    assert len(identities[0]) == len(rows)


def test_rows_of_a_basket_keep_the_files_order(tmp_path: Path) -> None:
    """Ids sort as the rows of their basket stand, so a tick keeps the order in which a basket was filled."""
    rows = "".join(f"u,{item},7,b{basket}\n" for item in "zyx" for basket in (1, 2))
    _, records = read_csv(tmp_path, "user,item,ts,basket\n" + rows)
    ordered = sorted(records, key=lambda r: event(r).event_id or "")
    assert [event(r).item for r in ordered if event(r).basket == "b2"] == ["z", "y", "x"]


def test_equal_rows_have_distinct_ids(tmp_path: Path) -> None:
    """The same row twice is two events: only a given event_id makes a duplicate."""
    _, records = read_csv(tmp_path, "user,item,ts\nu,i,1\nu,i,1\nu,i,1\n")
    assert [(event(r).event_id or "")[:6] for r in records] == ["000000", "000001", "000002"]


def test_forgetting_is_invisible() -> None:
    """Counts that no row in time can continue are dropped, and ids are as if none were."""
    bounded, rng, newest = EventIds(1000), random.Random(3), 0
    seen: dict[str, tuple[int, int]] = {}
    for _ in range(5000):
        at = max(0, newest + rng.randrange(-900, 300))
        newest = max(newest, at)
        basket = f"b{rng.randrange(4)}" if rng.random() < 0.1 else f"c{newest // 3000}"
        count, last = seen.get(basket, (0, at))
        count = 0 if at - last > 1000 else count
        seen[basket] = (count + 1, max(at, last))
        assert bounded.derive(at, "u", basket, b"{}", newest).startswith(f"{count:06d}-")
    assert len(bounded._counts) + len(bounded._older) < 20


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("log.csv", b"", r"log.csv is empty; expected a csv file with rows"),
        ("log.csv", b"user,item,ts\n", "has a header and no rows; expected events"),
        ("log.csv", b"visitor,item,ts\n", "no column for the user; found 'visitor', 'item', 'ts'; expected user or"),
        ("log.csv", b"usr,item,ts\n", r'write user = "usr" under \[events.columns\] of the job.toml if \'usr\' is'),
        ("log.csv", b"1::2::3\n4::5::6\n", "no column for the user; found '1::2::3'"),
        ("log.csv", b"user,item,ts,user\n", "has 2 columns 'user'; expected one; rename the others"),
        ("log.csv", b"\xffuser,item,ts\n", "the header of .* cannot be read: not UTF-8"),
        ("log.csv", b"user,item,ts\nu,i,x\n", r"has not one good row of 1 \(1 bad_time, first in row 1: time 'x'\)"),
        ("log.csv", "user,item,ts\n".encode("utf-16"), "is UTF-16; expected UTF-8 text, plain or gzip; convert it"),
        ("log.csv", b"PK\x03\x04rest", "is a ZIP archive; expected UTF-8 text"),
        ("log.csv.gz", gzip.compress(b"user,item,ts\nu,i,1\n" * 999)[:-20], "is damaged: .*expected a whole gzip file"),
        ("log.csv.gz", b"\x1f\x8b\x08junkjunkjunk", "is damaged: "),
        ("log.jsonl", b"\nx\n", "is not JSON lines: no object .* 'x'; expected one JSON object a line"),
        ("log.jsonl", b'[{"user":1,"item":2,"ts":3}]', "expected one JSON object a line; write an array's objects"),
        ("log.jsonl", b"\n \n", "has only empty lines; expected one JSON object a line; check how it was made"),
        ("log.jsonl", b'{"uid":1,"item":2,"ts":3}\n', "found 'uid', 'item', 'ts'; expected user or user_id"),
        ("log.parquet", b"nothing like it", "is damaged, or no Parquet file: .*; copy it again, or correct"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, name: str, raw: bytes, text: str) -> None:
    """A file that cannot be read is one clear error, and leaves no log behind."""
    file = tmp_path / name
    file.write_bytes(raw)
    with pytest.raises(HeadwaterError, match=text):
        read(file)
    assert list(tmp_path.iterdir()) == [file]


def test_a_named_column_must_exist(tmp_path: Path) -> None:
    """A column that the configuration names is looked for by that name only."""
    with pytest.raises(
        HeadwaterError, match=r"no column 'tim', which events.columns.time names; found .*; did you mean 'time'"
    ):
        read_csv(tmp_path, "user,item,time\nu,i,1\n", columns=EventColumns(time="tim"))


def test_columns_by_configuration(tmp_path: Path) -> None:
    """Named columns win over usual ones, and an empty name means none."""
    columns = EventColumns(user="buyer", value="")
    _, records = read_csv(tmp_path, "user,buyer,Item_ID,ts,value\na,b,i,1,bad\n", columns=columns)
    assert (event(records[0]).user, event(records[0]).item, event(records[0]).value) == ("b", "i", None)


def test_unreadable_paths(tmp_path: Path) -> None:
    """A missing file, a folder and a log that cannot be written are errors with their path."""
    with pytest.raises(HeadwaterError, match=r"cannot read .*no.csv: No such file or directory; .*check the path"):
        read(tmp_path / "no.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(HeadwaterError, match=r"cannot read .*folder.csv: Is a directory"):
        read(tmp_path / "folder.csv")
    (tmp_path / "log.csv").write_text("user,item,ts\nu,i,1\n", encoding="utf-8")
    with pytest.raises(HeadwaterError, match=r"cannot write .*: No such file or directory; .*choose another"):
        write_canonical(events_of(tmp_path / "log.csv"), tmp_path / "none" / "x.log")
    with pytest.raises(HeadwaterError, match="cannot read the canonical log"):
        list(read_canonical(tmp_path / "none.log"))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded when the file is not made of lines."""
    monkeypatch.setattr("models.text_rows.BLOCK_BYTES", 16)
    monkeypatch.setattr("models.text_rows.MAX_LINE_BYTES", 64)
    with pytest.raises(HeadwaterError, match="a line of more than"):
        read_csv(tmp_path, "user,item,ts\nu," + "i" * 200)


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block of the file ends changes nothing."""
    raw = 'user,item,ts\n"a\r\n""b",ü,1\r\nc,d,2\n\ne,f,3'
    whole = read_csv(tmp_path, raw)
    for size in range(1, 12):
        monkeypatch.setattr("models.text_rows.BLOCK_BYTES", size)
        assert read_csv(tmp_path, raw) == whole


def test_an_open_table_closes(tmp_path: Path) -> None:
    """The columns can be seen without reading the rows."""
    (tmp_path / "log.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with open_table(tmp_path / "log.csv", "csv") as table:
        assert table.columns == ["a", "b"]


def test_context_by_configuration(tmp_path: Path) -> None:
    """Columns that describe user or request go with the event by their names, empty cells left out; ids stay."""
    text = "user,item,ts,country,device\na,i,1,de,tv\nb,i,2,,\n"
    _, plain = read_csv(tmp_path, text)
    _, told = read_csv(tmp_path, text, columns=EventColumns(context=("device", "country")))
    values = [msgspec.json.decode(record.value or b"") for record in told]
    assert [value.get("context") for value in values] == [{"device": "tv", "country": "de"}, None]
    assert told[1] == plain[1]
    with pytest.raises(HeadwaterError, match=r"no column 'devise', which events.columns.context names.*'device'"):
        read_csv(tmp_path, text, columns=EventColumns(context=("devise",)))
