"""Laws of an events file's cells: what an id, a time and a value may be."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.jobs.canonical_logs import event, read, read_csv


def test_ids_of_every_format_are_alike(tmp_path: Path) -> None:
    """No spaces around an id, no fraction of a whole number, and spaces alone are no id: events meet their items."""
    _, records = read_csv(tmp_path, "user,item,ts\n 7 ,\ti1,1\nu, ,1\n  ,i,1\n")
    assert [record.flag for record in records] == ["", "missing_item", "missing_user"]
    assert (event(records[0]).user, event(records[0]).item, records[0].key) == ("7", "i1", b"7")
    (tmp_path / "log.jsonl").write_text('{"user":7.0,"item":" i1 ","ts":1}\n{"user":" ","item":"i","ts":1}\n')
    _, records = read(tmp_path / "log.jsonl")
    assert [record.flag for record in records] == ["", "missing_user"]
    assert (event(records[0]).user, event(records[0]).item, records[0].key) == ("7", "i1", b"7")


def test_times_out_of_range_are_bad(tmp_path: Path) -> None:
    """A Parquet time beyond 9999 or before 1970 is a dead letter, not an event of another day."""
    whole = [1_600_000_000_000_000, 2**63 - 1, -(2**63) + 1, -1]
    for unit in ("ms", "us"):
        times = pa.array([each // (1000 if unit == "ms" else 1) for each in whole[:1]] + whole[1:], pa.timestamp(unit))
        pq.write_table(pa.table({"user": ["u"] * 4, "item": ["i"] * 4, "ts": times}), tmp_path / "log.parquet")
        _, records = read(tmp_path / "log.parquet")
        assert [(r.flag, r.at_ms) for r in records] == [("", 1_600_000_000_000), *[("bad_time", 1_600_000_000_000)] * 3]
        assert all(b'"user":"u"' in (r.value or b"") for r in records)


@pytest.mark.parametrize("value", ['"five"', '"nan"', "true", "null", "1e999", "[5]", "{}"])
def test_a_value_that_is_no_number_spoils_no_row(tmp_path: Path, value: str) -> None:
    """Nothing is learned from a value: one that is no finite number is left out, its row stays."""
    (tmp_path / "log.jsonl").write_text(f'{{"user":"u","item":"i","ts":1,"rating":{value}}}\n')
    (tmp_path / "log.csv").write_text(f"user;item;ts;rating\nu;i;1;{value}\n")
    for name in ("log.jsonl", "log.csv"):
        _, [record] = read(tmp_path / name)
        assert (record.flag, event(record).user, event(record).value) == ("", "u", None)


def test_a_row_of_the_far_future_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One wrong time makes all later rows late: the log is written, and one line names the row to look at."""
    good = "".join(f"u,i{k},{1_600_000_000 + k}\n" for k in range(300))
    read_csv(tmp_path, "user,item,ts\n" + good)
    assert capsys.readouterr().err == ""
    summary, _ = read_csv(tmp_path, "user,item,ts\nu,early,1600000000\nu,wrong,4099680000\n" + good)
    told = capsys.readouterr().err
    assert summary.flags == {"late": 300}
    assert told.startswith("warning: 300 of the 302 rows of ")
    assert "log.csv are late" in told
    assert "the newest time, 2099-11-30 00:00, stands in row 2; mend or remove that row" in told
    assert told.count("\n") == 1
