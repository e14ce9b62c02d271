"""A replay that cannot go on says in one line what is wrong and what to do, and leaves nothing half done unnoticed."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from online.report import digest_lists
from tests.jobs.replay_logs import EXAMPLES, ROWS, Log, vectors_of, write_csv

ROOT = Path(__file__).parents[2]
PYTHON = ("--engine", "python")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(write_csv(tmp_path / "log.csv", ROWS), vectors_of(ROWS, tmp_path))


def truncated(log: Log) -> list[str]:
    """A gzip file of which the end is missing."""
    file = log.events.with_name("cut.csv.gz")
    file.write_bytes(gzip.compress(log.events.read_bytes() * 50)[:-20])
    return log._replace(events=file).arguments


def renamed(log: Log, old: str, new: str) -> list[str]:
    """The log with another header."""
    file = log.events.with_name("renamed.csv")
    file.write_text(log.events.read_text().replace(old, new, 1))
    return log._replace(events=file).arguments


def configured(log: Log, toml: str) -> list[str]:
    """A job.toml with one mistake."""
    file = log.events.with_name("job.toml")
    file.write_text(f'[vectors]\npath = "items.safetensors"\n{toml}', encoding="utf-8")
    return ["--config", str(file)]


MISTAKES: dict[str, tuple[Callable[[Log], list[str]], str]] = {
    "no log": (lambda log: [], "no log was named; expected --config job.toml, or --events F and --items F; try: "),
    "no items": (lambda log: ["--events", str(log.events)], "no log was named"),
    "no file": (lambda log: log._replace(events=Path("no.csv")).arguments, "cannot read no.csv: No such file or "),
    "a folder": (lambda log: log._replace(events=EXAMPLES / "x.csv" / "..").arguments, "is not told by its name"),
    "a folder named as a file": (
        lambda log: log._replace(events=make_folder(log.events.with_name("folder.csv"))).arguments,
        "folder.csv: Is a directory; expected a readable file; check the path and its rights",
    ),
    "an empty file": (lambda log: log._replace(events=empty(log)).arguments, "empty.csv is empty; expected a csv "),
    "cut gzip": (truncated, "is damaged: Compressed file ended before the end-of-stream marker was reached; "),
    "no time": (lambda log: renamed(log, "ts", "tss"), "no column for the time; found 'user', 'item', 'tss'; "),
    "no user": (lambda log: renamed(log, "user", "usr"), "write user = \"usr\" under [events.columns] of the job.toml"),
    "wrong column": (
        lambda log: configured(log, '[events]\npath = "log.csv"\n[events.columns]\nuser = "users"\n'),
        "no column 'users', which events.columns.user names; found 'user', 'item', 'ts'; did you mean 'user'?",
    ),
    "unknown key": (
        lambda log: configured(log, '[events]\npath = "log.csv"\n[lists]\ntopk = 5\n'),
        "top_k",
    ),
    "a topic": (
        lambda log: configured(log, '[events]\ntopic = "clicks"\n'),
        "reads events from the topic 'clicks'; a replay reads files; name a file with --events, or use headwater run",
    ),
    "no vectors": (lambda log: log._replace(vectors=Path("no.st")).arguments, "there is no vector file "),
    "vectors that are none": (
        lambda log: log._replace(vectors=log.events).arguments, "log.csv",
    ),
    "parallelism": (lambda log: [*log.arguments, "--parallelism", "0"], "--parallelism is 0; expected "),
    "limit": (lambda log: [*log.arguments, "--limit", "0"], "--limit is 0; expected at least 1; leave it out to "),
    "tick": (lambda log: [*log.arguments, "--tick", "soon"], "--tick is 'soon'; expected a duration from "),
    "out is a file": (
        lambda log: [*log.arguments, "--out", str(log.events)],
        "log.csv for outputs: File exists; expected a folder to write in; choose another --out",
    ),
    "out cannot be made": (
        lambda log: [*log.arguments, "--out", str(log.events / "out")],
        "for outputs: Not a directory; expected a folder to write in; choose another --out",
    ),
}  # fmt: skip


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def empty(log: Log) -> Path:
    file = log.events.with_name("empty.csv")
    file.touch()
    return file


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(tmp_path: Path, log: Log, mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and one line that says what is wrong and what to do."""
    make, text = MISTAKES[mistake]
    arguments = make(log)
    if "--out" not in arguments:
        arguments += ["--out", str(tmp_path / "out")]

    assert main(["replay", *arguments, *PYTHON]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("headwater replay: error: ")
    assert text in last


def test_thread_mode_where_it_cannot_run(
    tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused with the reason, before anything is read."""
    monkeypatch.setattr("jobs.modes.thread_mode_possible", lambda: "this is a toaster")

    assert main(["replay", *log.arguments, "--mode", "thread", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "headwater replay: error: thread mode cannot run here: this is a toaster; use --mode process, or mend that\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_full_disk(tmp_path: Path, log: Log) -> None:
    """Outputs that cannot be written are one line too. The limit on a file's size stands for the disk's."""
    code = (
        "import resource, sys, jobs.cli\n"
        "import jobs.python_engine\n"
        "run = jobs.python_engine.run_python\n"
        "def limited(*given):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "    run(*given)\n"
        "jobs.python_engine.run_python = limited\n"
        "sys.exit(jobs.cli.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "replay", *log.arguments, *PYTHON, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "headwater replay: error: cannot write " in done.stderr
    assert "File too large; expected a folder with room; free space, or choose another --out" in done.stderr


def test_interrupted(
    tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control-C ends with status 130 and says that the folder is not complete."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.python_engine.run_python", stop)

    assert main(["replay", *log.arguments, *PYTHON, "--out", str(tmp_path / "out")]) == 130
    assert (
        f"interrupted: {tmp_path / 'out'} is not complete; go on with --resume, or run it again"
        in capsys.readouterr().err
    )


def test_lists_of_two_runs_are_told(
    tmp_path: Path, log: Log, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that this run did not make does not enter its fingerprint unnoticed."""

    def meddled(paths: list[Path]) -> Any:
        (paths[0] / "part-9.jsonl").write_text('{"user":"x"}\n')
        return digest_lists(paths)

    monkeypatch.setattr("jobs.replay.digest_lists", meddled)

    assert main(["replay", *log.arguments, *PYTHON, "--out", str(tmp_path / "out")]) == 2
    assert "holds 5 lists, the run made 4; expected equal numbers; did two replays" in capsys.readouterr().err
