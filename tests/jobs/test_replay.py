"""Laws of `headwater replay`: any log that has a user, an item and a time goes through; a mistake is one clear line."""

import argparse
import base64
import gzip
import io
import json
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.encode import add_arguments
from jobs.progress import told_at_the_end
from jobs.replay import Replay
from online.evaluation.slices import SLICES
from state.errors import HeadwaterError
from tests.jobs.replay_logs import (
    EXAMPLES,
    ROWS,
    Log,
    lines_in,
    real_log,
    real_rows,
    replay,
    same,
    shuffled,
    vectors_of,
    write_csv,
)

ROOT = Path(__file__).parent.parent.parent
PYTHON = ("--engine", "python")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(write_csv(tmp_path / "log.csv", ROWS), vectors_of(ROWS, tmp_path))


@pytest.mark.parametrize("name", ["movietweetings", "online_retail"])
def test_shuffled_within_the_bound_is_the_same(tmp_path: Path, name: str) -> None:
    """Another order of arrival, none late, gives the same lists, head and metrics."""
    log = real_log(name, 1500, tmp_path)
    other = log._replace(events=write_csv(tmp_path / "shuffled.csv", shuffled(real_rows(name, 1500))))

    expected = replay(log.arguments, tmp_path / "a", *PYTHON)
    found = replay(other.arguments, tmp_path / "b", *PYTHON)

    assert expected["lists"] > 0
    assert same(expected) == same(found)


def test_formats_agree(tmp_path: Path) -> None:
    """JSON lines, Parquet and gzip of a log give what its CSV gives."""
    import pyarrow
    from pyarrow import parquet

    log = real_log("movietweetings", 300, tmp_path)
    rows = real_rows("movietweetings", 300)
    text = "".join(json.dumps({**row, "ts": int(row["ts"]), "rating": int(row["rating"])}) + "\n" for row in rows)
    table = io.BytesIO()
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    columns_of_numbers = {"ts": [int(each) for each in columns["ts"]]}
    parquet.write_table(pyarrow.table({**columns, **columns_of_numbers}), table)
    files = {"log.jsonl": text.encode(), "log.parquet": table.getvalue(), "log.csv": log.events.read_bytes()}
    expected = same(replay(log.arguments, tmp_path / "out", *PYTHON))

    for name, raw in files.items():
        for file, content in ((name, raw), (f"{name}.gz", gzip.compress(raw))):
            (tmp_path / file).write_bytes(content)
            other = log._replace(events=tmp_path / file)
            assert expected == same(replay(other.arguments, tmp_path / "out", *PYTHON)), file


def test_report_has_its_keys(tmp_path: Path, log: Log) -> None:
    """report.json has the promised keys for every model and slice; report.html is a whole page; nothing else stays."""
    report = replay(log.arguments, tmp_path / "out", *PYTHON)

    keys = "events accepted duplicates late dead_letters lists lists_sha256 head_sha256 wall_s events_per_s metrics"
    assert {*keys.split(), "unknown_items", "unknown_item_events", "config", "versions"} <= set(report)
    assert {"headwater", "head", "sequential_rules", "frozen_text"} <= set(report["metrics"])
    for slices in report["metrics"].values():
        assert {"all", "last_80", "last_10_known_user"} == set(slices)
        for figures in slices.values():
            assert {"n", "hr@10", "ndcg@10", "mrr@10", "hr@20", "ndcg@20"} == set(figures)
    assert (report["engine"], report["mode"], report["parallelism"]) == ("python", "", 1)
    left = {"recommendations", "dead_letters", "metrics.jsonl", "report.json", "report.html"}
    assert left == {path.name for path in (tmp_path / "out").iterdir()}
    assert report["lists"] == len(lines_in(tmp_path / "out" / "recommendations"))
    page = Page()
    page.feed((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.loaded == []


def test_the_evaluation_has_its_parts(tmp_path: Path) -> None:
    """Of real events: every slice, interval and curve, peers beside our experts, and the frozen control when asked."""
    log = real_log("movietweetings", 1500, tmp_path)

    report = replay(log.arguments, tmp_path / "out", *PYTHON, "--frozen-control")
    without = replay(log.arguments, tmp_path / "other", *PYTHON, "--no-peers")

    found = report["evaluation"]
    assert set(SLICES) == set(found["slices"])
    assert {"headwater", "raisgd", "river_biased_mf", "popularity_all_time", "frozen_text"} <= set(report["metrics"])
    for model, figures in found["slices"]["all"]["models"].items():
        assert figures["hr@10"]["mean"] == pytest.approx(report["metrics"][model]["all"]["hr@10"], abs=2e-6)
        assert figures["hr@10"]["low"] <= figures["hr@10"]["mean"] <= figures["hr@10"]["high"]
    assert sum(found["slices"][name]["n"] for name in SLICES if name.startswith("user_")) == 1500
    assert found["frozen_control"]["slices"]["tail"]["n"] > 50
    assert found["serving"]["lags"][0]["hr@10"] >= found["serving"]["lags"][-1]["hr@10"] > 0
    assert 0 < found["log_loss"]["mean"] < found["log_loss"]["knowing_nothing"]
    assert "ranked a random 1,500 of them" in found["peers"]
    assert {"reading", "peers", "frozen_control", "measures"} == set(found["seconds"])
    assert without["evaluation"]["frozen_control"] is None
    assert "raisgd" not in without["metrics"]
    assert without["evaluation"]["peers"] == "left out by --no-peers"
    assert without["lists_sha256"] == report["lists_sha256"]


def test_peers_are_left_out_of_long_logs(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time is bounded: of more events than the bound they are left out, and the report says so."""
    monkeypatch.setattr("jobs.evaluating.MAX_PEER_EVENTS", 3)
    report = replay(log.arguments, tmp_path / "out", *PYTHON)
    assert report["evaluation"]["peers"] == "left out: the log has more than 3 events"
    assert "raisgd" not in report["metrics"]


class Page(HTMLParser):
    """Holds that every element closes, and what a page would load."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input", "col"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for key, value in attrs if key == "src" or (tag == "link" and key == "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


BAD = {
    "bad_time": b"u1,a,yesterday,e7",
    "bad_row": b"u1,a,1700000000,e8,surplus",
    "missing_user": b",a,1700010000,e9",
    "missing_item": b"u1,,1700010000,e10",
    "late": b"u1,a,1699999999,e11",
    "bad_id": b"u1," + b"x" * 300 + b",1700010000,e12",
    "too_large": b"u1," + b"x" * 2_000_000 + b",1700010000,e13",
}


def bad_log(folder: Path) -> Log:
    """A log with good rows, two duplicates and a row of every kind of bad."""
    good = [f"{row['user']},{row['item']},{row['ts']},e{number}".encode() for number, row in enumerate(ROWS)]
    raw = [b"user,item,ts,event_id", *good, good[0].replace(b"1700000000", b"1700008000"), good[3], *BAD.values()]
    file = folder / "bad.csv"
    file.write_bytes(b"\n".join([*raw, b"\xff\xfe,a,1700010000,e14"]) + b"\n")
    return Log(file, vectors_of(ROWS, folder))


def check_bad(report: dict[str, Any], out: Path) -> None:
    """Every row is counted once; a bad one is in dead letters with its own bytes and place."""
    letters = lines_in(out / "dead_letters")
    assert report["events"] == 14
    assert (report["accepted"], report["duplicates"], report["late"], report["dead_letters"]) == (4, 2, 1, 7)
    assert {**dict.fromkeys(BAD, 1), "bad_row": 2} == Counter(letter["reason"] for letter in letters)
    assert {("bad.csv", 0)} == {(letter["topic"], letter["partition"]) for letter in letters}
    found = {letter["offset"]: base64.b64decode(letter["value_base64"]) for letter in letters}
    for offset, (reason, raw) in enumerate(BAD.items(), start=6):
        if reason in ("bad_id", "too_large"):  # told by the loop, whose record is the event's JSON
            event = json.loads(found[offset])
            assert raw.decode() == f"{event['user']},{event['item']},1700010000,{event['event_id']}"
        else:
            assert raw == found[offset]
    assert found[13] == b"\xff\xfe,a,1700010000,e14"


def test_nothing_vanishes(tmp_path: Path) -> None:
    """events = accepted + duplicates + late + dead letters, whatever stands in the rows."""
    report = replay(bad_log(tmp_path).arguments, tmp_path / "out", *PYTHON)

    check_bad(report, tmp_path / "out")


STRANGE = ("a b", 'say "hi"', "\u65e5\u672c \U0001f600", "x" * 200, "007", "7", "a,b;c\td", "null", "<b>&amp;", "'; --")


@pytest.mark.parametrize(
    "rows",
    [
        [{**row, "action": "view"} for row in ROWS],
        [{**row, "action": ""} for row in ROWS],
        [{**row, "event_id": f"e{number}"} for number, row in enumerate(ROWS)],
        [{**row, "basket": "b", "session": "s"} for row in ROWS],
        [{**row, "session": f"s{number}"} for number, row in enumerate(ROWS)],
        [{"user_id": row["user"], "item_id": row["item"], "timestamp": row["ts"], "item": row["item"]} for row in ROWS],
        [{**row, "ts": row["ts"] + ".25"} for row in ROWS],
        [{**row, "ts": row["ts"] + "123"} for row in ROWS],
        [{**row, "ts": f"2023-11-14T2{number}:00:00+01:00"} for number, row in enumerate(ROWS)],
        [{**row, "ts": f"2023-11-1{number}"} for number, row in enumerate(ROWS)],
        [{**row, "user": "only"} for row in ROWS],
        [{**row, "item": "only"} for row in ROWS],
        ROWS[:1],
        [{"user": user, "item": item, "ts": 1_700_000_000} for user in STRANGE for item in STRANGE],
        [{**row, "ts": 0} for row in ROWS],
    ],
    ids=["action", "empty action", "event_id", "basket and session", "session", "usual names", "fractions", "ms",
         "iso", "days", "one user", "one item", "one event", "strange ids", "1970"],
)  # fmt: skip
def test_a_log_never_seen(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    """Any columns, ids and kinds of time: every row is accepted, each user who acted gets a list of unseen items."""
    log = Log(write_csv(tmp_path / "log.csv", rows), vectors_of(rows, tmp_path))

    report = replay(log.arguments, tmp_path / "out", *PYTHON)

    assert (len(rows), len(rows)) == (report["events"], report["accepted"])
    user = "user" if "user" in rows[0] else "user_id"
    lists = lines_in(tmp_path / "out" / "recommendations")
    assert {row[user] for row in rows} == {line["user"] for line in lists}
    for line in lists:
        assert len(line["items"]) == len(line["scores"]) == len(set(line["items"]))
        assert not {*line["items"]} - {row["item"] for row in rows}


@pytest.mark.parametrize("candidates", ["unseen", "not_in_basket", "all"])
def test_fewer_items_than_any_limit(tmp_path: Path, log: Log, candidates: str) -> None:
    """With three items a list has what is left of them."""
    replay(log._replace(candidates=candidates).arguments, tmp_path / "out", *PYTHON)

    lists = lines_in(tmp_path / "out" / "recommendations")
    expected = {"unseen": {"u1": [2, 1], "u2": [2, 1]}, "not_in_basket": {"u1": [2, 2], "u2": [2, 2]}}
    both = {"u1": [3, 3], "u2": [3, 3]}
    assert expected.get(candidates, both) == {
        user: [len(line["items"]) for line in lists if line["user"] == user] for user in ("u1", "u2")
    }


def test_items_unknown_to_the_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An event on an item without a vector is accepted and learned from, and counted."""
    log = Log(write_csv(tmp_path / "log.csv", ROWS), vectors_of(ROWS[:2], tmp_path))

    report = replay(log.arguments, tmp_path / "out", *PYTHON)

    assert (4, 1, 1) == (report["accepted"], report["unknown_items"], report["unknown_item_events"])
    out, err = capsys.readouterr()
    assert "\n1 events name 1 items that the catalogue lacks, learned without a text\n" in out
    assert "warning" not in err
    replay(log._replace(vectors=vectors_of(ROWS, tmp_path)).arguments, tmp_path / "out", *PYTHON)
    assert "lacks" not in capsys.readouterr().out


def test_a_log_of_other_items(tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """When most events are on unknown items, a warning before the run shows one of each side."""
    vectors_of([{"item": "Film of " + row["item"]} for row in ROWS], tmp_path)
    named = [{**row, "item": row["item"] if row["item"] == "c" else "Film of b"} for row in ROWS]
    half = log._replace(events=write_csv(tmp_path / "half.csv", named[1:3]))

    report = replay(log.arguments, tmp_path / "out", *PYTHON)
    out, err = capsys.readouterr()
    replay(half.arguments, tmp_path / "out", *PYTHON)

    assert (3, 4) == (report["unknown_items"], report["unknown_item_events"])
    assert (
        "warning: 4 of 4 events name items that the catalogue lacks, such as 'a'; it has items such as 'Film of" in err
    )
    assert f"is {log.vectors} made of this log's items, and does events.columns.item name the right column?" in err
    assert "4 events name 3 items that the catalogue lacks, learned without a text: most of the log, see the w" in out
    assert "warning" not in capsys.readouterr().err


def test_ticks_and_limit(tmp_path: Path, log: Log) -> None:
    """--tick says how often lists are refreshed; --limit how many rows are read."""
    counts = {tick: replay(log.arguments, tmp_path / "out", *PYTHON, "--tick", tick)["lists"] for tick in ("5m", "1d")}
    assert counts == {"5m": 4, "1d": 3}
    report = replay(log.arguments, tmp_path / "out", *PYTHON, "--limit", "3")
    assert (report["events"], report["lists"]) == (3, 3)
    assert replay(log.arguments, tmp_path / "out", *PYTHON, "--limit", "99")["events"] == 4


def test_a_configuration_and_flags(tmp_path: Path, log: Log) -> None:
    """A job.toml names its files from its own folder; a flag wins over it."""
    toml = '[events]\npath = "log.csv"\n[vectors]\npath = "items.safetensors"\n[lists]\ntick = "1d"\n'
    job = tmp_path / "job.toml"
    job.write_text(toml, encoding="utf-8")
    assert replay(["--config", str(job)], tmp_path / "out", *PYTHON)["lists"] == 3
    assert replay(["--config", str(job)], tmp_path / "out", *PYTHON, "--tick", "5m")["lists"] == 4
    expected = same(replay(log.arguments, tmp_path / "out", *PYTHON, "--tick", "1d"))
    assert expected == same(replay(["--config", str(job)], tmp_path / "out", *PYTHON))


def test_the_live_jobs_configuration(tmp_path: Path, log: Log) -> None:
    """Files named by flags take the place of its topics, as the error without them says; no topic is left."""
    live = ["--config", str(EXAMPLES / "live" / "job.toml")]

    report = replay([*live, *log.arguments], tmp_path / "out", *PYTHON)

    assert report["accepted"] == 4
    assert not [table for table in report["config"].values() if isinstance(table, dict) and table.get("topic")]


def test_the_encoder_gets_every_column(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that looks like a flag is a column all the same; so are files and models."""
    columns = 'item = "-id"\navailable_at = "--from"\ntext = ["-t", "--model", "a b"]\n'
    job = f'[events]\npath = "log.csv"\n[items]\npath = "-i.csv"\n[items.columns]\n{columns}'
    (tmp_path / "job.toml").write_text(job, encoding="utf-8")
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr("jobs.replay.subprocess.run", run)
    assert main(["replay", "--config", str(tmp_path / "job.toml"), "--out", str(tmp_path / "out"), *PYTHON]) == 2
    assert "the items could not be encoded" in capsys.readouterr().err
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    read = parser.parse_args(commands[0][commands[0].index("encode") + 1 :])
    assert ("-id", "--from", ["-t", "--model", "a b"]) == (read.item_column, read.available_at_column, read.text_column)
    assert (tmp_path / "-i.csv", tmp_path / "out" / "vectors.safetensors") == (read.items, read.out)


def test_only_our_files_are_removed(tmp_path: Path, log: Log) -> None:
    """A second run replaces the first's outputs, whatever they were, and leaves all else in the folder alone."""
    out = tmp_path / "out"
    expected = replay(log.arguments, out, *PYTHON)
    (out / "notes.txt").write_text("mine")
    (out / "recommendations" / "part-old.jsonl").write_text("{}\n")
    (out / "report.html").unlink()
    (out / "report.html").mkdir()
    (out / "vectors.safetensors").write_bytes(b"of another run")

    assert same(expected) == same(replay(log.arguments, out, *PYTHON))
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "vectors.safetensors").exists()


def test_a_failed_run_keeps_the_last_ones_results(tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong file name costs nobody the results of the run before."""
    out = tmp_path / "out"
    replay(log.arguments, out, *PYTHON)
    before = (out / "report.json").read_bytes()

    assert main(["replay", *log._replace(events=tmp_path / "no.csv").arguments, "--out", str(out), *PYTHON]) == 2
    assert "no.csv" in capsys.readouterr().err
    assert before == (out / "report.json").read_bytes()
    assert lines_in(out / "recommendations")


def test_inputs_are_never_removed(tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """Vectors may lie in the output folder; another input in the place of an output is refused."""
    out = tmp_path / "out"
    out.mkdir()
    kept = log.vectors.rename(out / "vectors.safetensors")
    replay(log._replace(vectors=kept).arguments, out, *PYTHON)
    assert kept.exists()

    for name in ("recommendations", ".work"):
        (out / name).mkdir(exist_ok=True)
        (out / name / "events.csv").write_bytes(log.events.read_bytes())
        inside = log._replace(events=out / name / "events.csv", vectors=kept)
        assert main(["replay", *inside.arguments, "--out", str(out), *PYTHON]) == 2
        assert "an input there would be removed; choose another --out" in capsys.readouterr().err
        assert inside.events.exists()


def test_a_failed_run_leaves_its_logs_alone(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of the events, as large as they are, goes; what the error names stays."""

    def fail(replay: Replay, _: object) -> None:
        assert replay.log.exists()
        (replay.out / ".work" / "checkpoints").mkdir()
        if logged:
            (replay.out / ".work" / "logs").mkdir()
        raise HeadwaterError("no luck")

    monkeypatch.setattr("jobs.python_engine.run_python", fail)
    out = tmp_path / "out"
    for logged in (True, False):
        assert main(["replay", *log.arguments, *PYTHON, "--out", str(out)]) == 2
        assert [path.name for path in out.glob(".work/*")] == ["logs"] * logged
        assert (out / ".work").exists() == logged


@pytest.mark.model
@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("item", ("{}",)),
        ("item,title", ("{}", "Film {}")),
        ("item_id,description,brand", ("{}", "", "Brand of {}")),
        ("item,title,text", ("{}", "", "")),
    ],
    ids=["no text", "title", "description and brand", "empty text"],
)
def test_any_catalogue(tmp_path: Path, log: Log, header: str, cells: tuple[str, ...]) -> None:
    """Items with and without text get real vectors, made before the run; one only in events does no harm."""
    lines = [",".join(cell.format(item) for cell in cells) for item in ("a", "b")]
    items = tmp_path / "items.csv"
    items.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")

    report = replay(["--events", str(log.events), "--items", str(items)], tmp_path / "out", *PYTHON)

    assert report["accepted"] == 4
    assert (tmp_path / "out" / "vectors.safetensors").is_file()


def test_summary(tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """What came in and out, our model before its experts, and where everything lies."""
    report = replay(log.arguments, tmp_path / "out", *PYTHON)

    out, err = capsys.readouterr()
    assert out == told_at_the_end(report, tmp_path / "out") + "\n"
    assert "4 events = 4 accepted + 0 duplicates + 0 late + 0 dead letters\n4 lists in " in out
    table = [line.split() for line in out.splitlines() if line.startswith("  ")]
    assert (table[0], table[1][0]) == (["HR@10", "NDCG@10"], "headwater")
    assert f"report        {tmp_path / 'out' / 'report.html'}" in out
    assert "dead letters  " not in out
    assert "log.csv: 4 events from 2023-11-14 22:13 to 2023-11-15 01:00" in err


def test_summary_of_a_bad_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad rows are told with an example when the log is read, and where they are at the end."""
    replay(bad_log(tmp_path).arguments, tmp_path / "out", *PYTHON)

    out, err = capsys.readouterr()
    assert "  1 bad_time: first in row 7: time 'yesterday'" in err
    assert f"dead letters  {tmp_path / 'out' / 'dead_letters'}" in out
    assert "1 late + 7 dead letters (1 bad_id, 2 bad_row, 1 bad_time, 1 late, 1 missing_item, " in out
