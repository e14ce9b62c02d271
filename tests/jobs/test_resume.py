"""Laws of going on: a replay that is killed at any moment, and resumed, ends with the bytes of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.jobs.replay_logs import SAME, Log, real_log, replay
from tests.jobs.test_replay_flink import metrics_lines, session, wait_for

ROOT = Path(__file__).parents[2]
EVENTS = 10_000
CONFIG = """
[events]
path = "{log.events}"
[items]
path = "{log.vectors}"
[vectors]
path = "{log.vectors}"
[flink]
checkpoint_interval = "300ms"
"""


class Case(NamedTuple):
    """A log, and what one undisturbed replay makes of it."""

    arguments: list[str]
    report: dict[str, object]
    metrics: list[bytes]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("log")
    log: Log = real_log("movietweetings", EVENTS, folder)
    (folder / "job.toml").write_text(CONFIG.format(log=log))
    arguments = ["--config", str(folder / "job.toml"), "--no-peers"]
    report = replay(arguments, folder / "out", "--engine", "python")
    return Case(arguments, report, metrics_lines(folder / "out"))


class Killed:
    """A replay that is killed, and resumed, each time as a process of its own."""

    def __init__(self, arguments: list[str], out: Path) -> None:
        self.out = out
        self._command = [sys.executable, "-m", "jobs.cli", "replay", *arguments, "--out", str(out)]
        self._lives: list[subprocess.Popen[bytes]] = []

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Start a life in a session of its own."""
        with (self.out.parent / f"{self.out.name}-{len(self._lives)}.log").open("wb") as log:
            self._lives.append(
                subprocess.Popen([*self._command, *more], cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
            )
        return self._lives[-1]

    def told(self) -> str:
        """Return what the newest life has told."""
        return (self.out.parent / f"{self.out.name}-{len(self._lives) - 1}.log").read_text()

    def kill_when(self, moment: Callable[[Path], bool], *more: str) -> bool:
        """Live until a moment, then SIGKILL this one process; False when it ended before."""
        life = self.start(*more)
        while not moment(self.out):
            if life.poll() is not None:
                assert life.returncode == 0, self.told()
                return False
            time.sleep(0.01)
        os.kill(life.pid, signal.SIGKILL)
        life.wait()
        return True

    def finish(self) -> None:
        """Go on to the end; nothing of any life is left."""
        assert self.start("--resume").wait(240) == 0, self.told()
        for life in self._lives:
            wait_for(life, "")

    def end(self) -> None:
        """End whatever lives."""
        for life in self._lives:
            for pid in session(life.pid):
                os.kill(pid, signal.SIGKILL)
            life.wait()


@pytest.fixture
def killed(tmp_path: Path, case: Case) -> Iterator[Callable[..., Killed]]:
    made: list[Killed] = []

    def make(*more: str) -> Killed:
        made.append(Killed([*case.arguments, *more], tmp_path / f"out{len(made)}"))
        return made[-1]

    yield make
    for one in made:
        one.end()


def parts(count: int) -> Callable[[Path], bool]:
    """The moment at which so many checkpoints have told their metrics."""
    return lambda out: len(list((out / ".work" / "metrics.jsonl").glob("part-*"))) >= count


def has(name: str) -> Callable[[Path], bool]:
    """The moment at which a file is there."""
    return lambda out: (out / name).exists()


def hold_same(case: Case, out: Path) -> None:
    """Hold that nothing is lost, doubled or torn, and that nothing unfinished lies about."""
    report = json.loads((out / "report.json").read_text())
    assert {key: case.report[key] for key in SAME} == {key: report[key] for key in SAME}
    assert case.metrics == metrics_lines(out)
    assert not (out / ".work").exists()
    assert not list(out.glob("*/.part-*"))


@pytest.mark.flink
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize("count", [1, 2])
def test_killed_and_resumed(case: Case, killed: Callable[..., Killed], mode: str, count: int) -> None:
    """After the first checkpoints, and later once more: the oracle's bytes, no list missing, none twice."""
    run = killed("--mode", mode)
    assert run.kill_when(parts(count))
    was_killed = run.kill_when(parts(count + 1), "--resume")
    assert f"goes on from {run.out / '.work' / 'checkpoints'}" in run.told()

    if was_killed:
        run.finish()

    hold_same(case, run.out)


@pytest.mark.flink
@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [has(".work/events.log.partial"), has(".work/replay.json"), has(".work/checkpoints")],
    ids=["reading", "begun", "the job starts"],
)
def test_killed_before_a_checkpoint(case: Case, killed: Callable[..., Killed], moment: Callable[[Path], bool]) -> None:
    """There is nothing to go on from, and the replay begins anew by itself."""
    run = killed("--mode", "thread")
    assert run.kill_when(moment)

    run.finish()

    assert "goes on from the beginning" in run.told()
    hold_same(case, run.out)


@pytest.mark.flink
@pytest.mark.slow
def test_killed_at_the_end(case: Case, killed: Callable[..., Killed]) -> None:
    """When all outputs are there and only the report is not, that alone is made."""
    run = killed("--mode", "thread")
    assert run.kill_when(has("metrics.jsonl"))
    before = {path: path.stat().st_mtime_ns for path in run.out.glob("*/part-*")}

    run.finish()

    hold_same(case, run.out)
    assert before == {path: path.stat().st_mtime_ns for path in run.out.glob("*/part-*")}


@pytest.mark.slow
def test_plain_python_killed(case: Case, killed: Callable[..., Killed]) -> None:
    """Without an engine there is no checkpoint: it begins anew, and ends with the same bytes."""
    run = killed("--engine", "python")
    lists = "recommendations/part-0.jsonl"
    assert run.kill_when(lambda out: has(lists)(out) and (out / lists).stat().st_size > 500_000)

    run.finish()

    hold_same(case, run.out)


def test_another_replay_cannot_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs is named, and what was begun stays for the right one."""
    from jobs.cli import main

    log = real_log("movietweetings", 50, tmp_path)
    arguments = ["replay", *log.arguments, "--engine", "python", "--no-peers", "--out", str(tmp_path / "out")]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jobs.python_engine.run_python", stop)
        assert main(arguments) == 130
    assert main([*arguments, "--resume", "--tick", "2h", "--limit", "40"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "holds a replay of other configuration and events, which cannot go on with these" in told

    assert main([*arguments, "--resume"]) == 0
    assert "goes on from the beginning" in capsys.readouterr().err


def test_two_replays_into_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second one is refused, and spoils nothing."""
    from jobs.cli import main
    from jobs.unfinished import hold

    log = real_log("movietweetings", 50, tmp_path)
    (tmp_path / "out" / ".work").mkdir(parents=True)
    lock = hold(tmp_path / "out", "")
    try:
        assert main(["replay", *log.arguments, "--engine", "python", "--out", str(tmp_path / "out")]) == 2
    finally:
        os.close(lock)
    assert "another replay writes to" in capsys.readouterr().err
    assert (tmp_path / "out" / ".work").exists()
