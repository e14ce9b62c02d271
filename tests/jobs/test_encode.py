"""Laws of `headwater encode`: which files and topics it takes, what it never writes over, where bad records end."""

import base64
import dataclasses
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.encode import dead_letter
from models.items import NEVER_MS
from models.side import Counts, DeadLetters, Route, run
from models.side_kafka import Arrived, Leaving
from models.vectors import decode_record, read_vectors
from online.event import REASONS
from tests.models.hash_encoder import HashEncoder

ITEMS = "sku,name,title,available\n1,Tea,x,\n2,Cup,y,no\n"


class FileEncoder(HashEncoder):
    """Stands for the real model."""

    def __init__(self, model: str, batch: int | None = None) -> None:
        super().__init__(f"{model}@1")
        self.device = "cpu"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with an items file, a job's configuration and the test's encoder."""
    monkeypatch.setattr("models.encoder.TextEncoder", FileEncoder)
    monkeypatch.setenv("HEADWATER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("items.csv").write_text(ITEMS)
    Path("job.toml").write_text(
        '[events]\npath = "ev.csv"\n[items]\npath = "items.csv"\n[items.columns]\nitem = "sku"\ntext = ["name"]\n'
        '[vectors]\nmodel = "other"\n'
    )
    return tmp_path


def encode(*arguments: str) -> int:
    return main(["encode", *arguments])


@pytest.mark.parametrize("named", [["--items", "items.csv"], []])
def test_columns_and_file_of_the_configuration(named: list[str]) -> None:
    """A configuration fills in what no flag says: the columns and the model, and the items file too."""
    assert encode("--config", "job.toml", *named, "--out", "v.safetensors") == 0
    found = read_vectors(Path("v.safetensors"))
    assert (found.items, found.model_id) == (("1", "2"), "other@1")
    assert found.vectors.tobytes() == HashEncoder().encode(["Tea", "Cup"]).tobytes()
    assert found.available_at_ms.tolist() == [0, NEVER_MS]


def test_flags_win_over_the_configuration() -> None:
    """A column and a model named by flags are taken."""
    assert encode("--config", "job.toml", "--out", "v", "--text-column", "title", "--model", "mine") == 0
    found = read_vectors(Path("v"))
    assert found.vectors.tobytes() == HashEncoder().encode(["x", "y"]).tobytes()
    assert found.model_id == "mine@1"


@pytest.mark.parametrize("out", ["items.csv", "link.csv", "ev.csv", "./../{}/items.csv"])
def test_no_file_of_someone_is_written_over(folder: Path, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--out onto the items, by whatever name, or onto a log is refused before anything is embedded."""
    Path("ev.csv").write_text("user,item,ts\n")
    Path("link.csv").symlink_to("items.csv")
    assert encode("--items", "items.csv", "--item-column", "sku", "--out", out.format(folder.name)) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert (Path("items.csv").read_text(), Path("ev.csv").read_text()) == (ITEMS, "user,item,ts\n")
    assert not (folder / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "got neither"),
        (["--items", "items.csv"], "got --items"),
        (
            ["--config", "job.toml"],
            "names no items.topic and no vectors.topic: add --out V to encode its items file",
        ),
        (["--config", "half.toml"], "got --from-topic; half.toml names no vectors.topic: add them"),
        (["--config", "half.toml", "--out", "v"], "got --out; half.toml names no items.path: add --items F"),
    ],
)
def test_what_is_missing_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a command is an error that says what came, what the configuration lacks and what to add."""
    Path("half.toml").write_text('[events]\ntopic = "e"\n[items]\ntopic = "i"\n')
    assert encode(*arguments) == 2
    told = capsys.readouterr().err
    assert "expected either --items F --out V, or --from-topic T --to-topic T" in told
    assert said in told


@pytest.mark.parametrize(
    ("arguments", "toml", "topic"),
    [([], "", None), ([], '[dead_letters]\ntopic = "d"\n', "d"), (["--dead-letters", "e"], "", "e")],
)
def test_the_topic_of_dead_letters(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], toml: str, topic: str | None
) -> None:
    """A flag names it, or the job's configuration."""
    given: dict[str, Any] = {}

    def fake_run(route: Route, *_: object, **named: Any) -> Counts:
        given.update(named, route=route)
        return Counts()

    monkeypatch.setattr("models.side.run", fake_run)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    Path("live.toml").write_text('[events]\ntopic="e"\n[items]\ntopic="i"\n[vectors]\ntopic="v"\n' + toml)
    assert encode("--config", "live.toml", *arguments) == 0
    assert (given["route"].items_topic, given["route"].vectors_topic) == ("i", "v")
    letters = given["dead_letters"]
    assert (letters and letters.topic) == topic


class Ends:
    """Stands for Kafka on both sides of the encoder, and writes down what happens in which order."""

    def __init__(self, batch: list[Arrived], stop: threading.Event) -> None:
        self.batch, self.stop = batch, stop
        self.happened: list[Any] = []
        self.broker_answers, self.last_error, self.lag = True, "", 0

    def read(self, records: int) -> list[Arrived]:
        self.stop.set()
        return self.batch

    def send(self, records: list[Leaving], at_ms: int) -> None:
        self.happened += records

    def commit(self, batch: list[Arrived]) -> None:
        self.happened.append("commit")

    def outstanding(self, wait_s: float) -> int:
        return 0

    def refused(self) -> str:
        return ""

    def look(self) -> None: ...
    def close(self) -> None: ...


BAD = [
    (None, None, "null_value"),
    (None, b"{}", "bad_id"),
    (b"\xff", b"{}", "bad_id"),
    (b"k", b"{", "bad_json"),
    (b"k", b'{"title": "\xff"}', "bad_utf8"),
    (b"k", b'{"title": ' + b"[" * 100_000, "too_deep"),
    (b"k", b'{"available": "no"}', "bad_schema"),
    (b"k", b'{"available_at": "soon"}', "bad_time"),
    (b"k", b"x" * ((1 << 20) + 1), "too_large"),
    (b"k", b'{"title": "\\u0000"}', "bad_vector"),
]


def run_on(
    batch: list[Arrived], monkeypatch: pytest.MonkeyPatch, letters: DeadLetters | None
) -> tuple[list[Any], Counts, str]:
    """Run the side process over one batch; return what it did in order, its counts and its log."""
    stop, log = threading.Event(), io.StringIO()
    ends = Ends(batch, stop)
    for name in ("ItemsIn", "RecordsOut"):
        monkeypatch.setattr(f"models.side.{name}", lambda *_: ends)
    monkeypatch.setattr("models.side.require_topics", lambda *_: None)
    counts = run(Route("h:1", "i", "v"), HashEncoder(), None, stop, dead_letters=letters, log=log)
    return ends.happened, counts, log.getvalue()


def arrived(records: list[tuple[bytes | None, bytes | None]]) -> list[Arrived]:
    return [Arrived("i", 3, offset, 1000 + offset, *record) for offset, record in enumerate(records)]


def test_every_record_ends_somewhere_before_it_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad record is a dead letter with its place, time, reason and bytes; the offsets are committed after it."""
    batch = arrived([(b"good", b'{"title": "T"}'), *((key, value) for key, value, _ in BAD), (b"gone", None)])
    happened, counts, log = run_on(batch, monkeypatch, DeadLetters("d", dead_letter))
    first, *letters, last, commit = happened
    assert (first.topic, first.key, last, commit) == ("v", b"good", Leaving("v", b"gone", None), "commit")
    assert decode_record(first.value).model_id == "hash@1"
    for letter, came, (key, value, reason) in zip(letters, batch[1:-1], BAD, strict=True):
        assert (letter.topic, letter.key) == ("d", f"i/3/{came.offset}".encode())
        assert json.loads(letter.value) == {
            "topic": "i",
            "partition": 3,
            "offset": came.offset,
            "timestamp": came.at_ms,
            "reason": reason,
            "key_base64": key if key is None else base64.b64encode(key).decode(),
            "value_base64": value if value is None else base64.b64encode(value).decode(),
        }
        assert reason in REASONS
    assert dataclasses.astuple(counts)[:6] == (1, 1, 0, 0, 1, len(BAD))
    assert log.count("sent to d an unreadable item record: i partition 3 offset") == len(BAD)


def test_without_a_topic_bad_records_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start says that they will be gone, and each is told with its place and reason."""
    happened, counts, log = run_on(arrived([(b"k", b"{")]), monkeypatch, None)
    assert (happened, counts.bad) == (["commit"], 1)
    assert "no topic of dead letters is named" in log
    assert "skipped an unreadable item record: i partition 3 offset 0: bad_json: " in log
