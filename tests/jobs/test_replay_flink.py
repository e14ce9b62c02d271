"""Laws of the replay through Flink: the oracle's bytes in every mode; an end, whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.jobs.replay_logs import Log, lines_in, real_log, real_rows, replay, same, shuffled, vectors_of, write_csv
from tests.jobs.test_replay import bad_log, check_bad

pytestmark = [
    pytest.mark.flink,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:httplib2"),  # comes with beam
]
ROOT = Path(__file__).parent.parent.parent
EVENTS = 3000
EXAMPLES = ("movietweetings", "online_retail")


class Expected(NamedTuple):
    """A log, and what the oracle makes of it."""

    log: Log
    report: dict[str, object]
    metrics: list[bytes]  # lines


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Expected]:
    found = {}
    for name in EXAMPLES:
        folder = tmp_path_factory.mktemp(name)
        log = real_log(name, EVENTS, folder)
        report = same(replay(log.arguments, folder / "out", "--engine", "python"))
        found[name] = Expected(log, report, metrics_lines(folder / "out"))
    return found


def metrics_lines(out: Path) -> list[bytes]:
    return sorted((out / "metrics.jsonl").read_bytes().splitlines())


@pytest.mark.parametrize("parallelism", ["1", "2"])
@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_flink_is_the_oracle(
    tmp_path: Path, oracle: dict[str, Expected], name: str, mode: str, parallelism: str
) -> None:
    """Lists, head, every metric and what was measured of each event are the oracle's, bit for bit."""
    log, expected, metrics = oracle[name]

    report = replay(log.arguments, tmp_path / "out", "--mode", mode, "--parallelism", parallelism)

    assert expected == same(report)
    assert metrics == metrics_lines(tmp_path / "out")
    assert ("flink", mode, int(parallelism)) == (report["engine"], report["mode"], report["parallelism"])
    assert not (tmp_path / "out" / ".work").exists()


@pytest.mark.parametrize(("name", "mode"), [("movietweetings", "process"), ("online_retail", "thread")])
def test_shuffled_through_flink(tmp_path: Path, oracle: dict[str, Expected], name: str, mode: str) -> None:
    """Another order of arrival within the bound shows nowhere."""
    log, expected, _ = oracle[name]
    file = write_csv(tmp_path / "shuffled.csv", shuffled(real_rows(name, EVENTS), seed=2))

    other = log._replace(events=file)
    assert expected == same(replay(other.arguments, tmp_path / "out", "--mode", mode, "--parallelism", "2"))


@pytest.mark.parametrize(("mode", "parallelism"), [("thread", "1"), ("process", "2")])
def test_nothing_vanishes(tmp_path: Path, mode: str, parallelism: str) -> None:
    """Every row of a bad log is counted once, and lies in dead letters with its own bytes."""
    report = replay(bad_log(tmp_path).arguments, tmp_path / "out", "--mode", mode, "--parallelism", parallelism)

    check_bad(report, tmp_path / "out")


DAMAGE = {"time": (0, "null"), "value": (5, "line has 5 fields, starting '0")}
"""What a line of the canonical log lacks: so many fields stay, and the job says that; in the JVM, in our operator."""


@pytest.mark.parametrize(("mode", "damage"), [("thread", "value"), ("process", "value"), ("thread", "time")])
def test_a_job_that_fails_says_why(tmp_path: Path, oracle: dict[str, Expected], mode: str, damage: str) -> None:
    """One line that names the root cause, status 2, no waiting for ever, and the logs that the line names.

    In a process of its own: in process mode Flink can close RocksDB under a worker that still asks for state, which
    ends the JVM (seen in one run of three when a replay was still tried again). The line then says that, too.
    """
    fields, cause = DAMAGE[damage]
    arguments = [*oracle["movietweetings"].log.arguments, "--out", str(tmp_path / "out"), "--mode", mode]
    command = [sys.executable, "-m", "tests.jobs.failing_replay", str(fields), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("headwater replay: error: the ")
    assert cause in last
    work = tmp_path / "out" / ".work"
    assert f"the logs are in {work / 'logs'}" in last
    assert [True, False] == [(work / name).exists() for name in ("logs", "events.log")]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A replay in a session of its own, as a terminal would start it."""
    log = real_log("movietweetings", 20_000, tmp_path)
    command = [sys.executable, "-m", "jobs.cli", "replay", *log.arguments, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--mode", "process"],
        cwd=ROOT,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    for pid in session(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_interrupted_in_the_middle(running: subprocess.Popen[str]) -> None:
    """Control-C, which reaches all of them: status 130, no traceback, no JVM and no worker left."""
    wait_for(running, "beam_boot")
    os.killpg(running.pid, signal.SIGINT)
    _, error = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "interrupted: " in error
    assert "Traceback" not in error
    wait_for(running, "")


def test_a_jvm_that_dies(running: subprocess.Popen[str]) -> None:
    """The replay says so at once; the workers of the dead JVM end too."""
    wait_for(running, "beam_boot")
    jvm = next(pid for pid, command in session(running.pid).items() if "java" in command.split(" ")[0])
    os.kill(jvm, signal.SIGKILL)
    _, error = running.communicate(timeout=30)

    assert running.returncode == 2
    assert "headwater replay: error: the JVM that " in error
    assert "is gone" in error.splitlines()[-1]
    assert "Traceback" not in error
    wait_for(running, "")


def wait_for(process: subprocess.Popen[Any], command: str) -> None:
    """Wait until a process of the session has `command` in its command line; "": until there is none at all."""
    for _ in range(600):
        found = session(process.pid)
        if any(command in each for each in found.values()) if command else not found:
            return
        assert command == "" or process.poll() is None, "it ended before"
        time.sleep(0.1)
    raise AssertionError(f"no {command or 'end'} after a minute: {session(process.pid)}")


def session(leader: int) -> dict[int, str]:
    """Return process -> command line of those alive in a session."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, sid = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                command = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it has just ended
                continue
            if int(sid) == leader and state != "Z":
                found[int(folder.name)] = command
    return found


STRANGE_IDS = (
    "a\x00b", "\x01\x1b[2J", "tab\there", "\U0001f600", "\u65e5\u672c", "\u202eright to left", "e\u0301", "\ufeffbom",
    "\ufffd\uffff", "\u241f\u241e\u2400\u240a\u240d", "'); DROP TABLE events; --", '"quoted"', "back\\slash",
    "<script>alert(1)</script>", "${jndi:ldap://x}", "../../etc/passwd", "\x7f\x85\u2028x", "x" * 256, "\U0010ffff",
    "{}", "0", "NaN", "None",
)  # fmt: skip


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_strange_ids_kill_nothing(tmp_path: Path, mode: str) -> None:
    """Any Unicode that is an id, of a user and an item, goes through state and outputs unchanged; none stops the job.

    Lone surrogates and ids that are too long are dead letters.
    """
    rows = [
        {"user": user, "item": STRANGE_IDS[(number * 7 + n) % len(STRANGE_IDS)], "ts": 1_700_000_000 + 900 * n + number}
        for n in range(8)
        for number, user in enumerate(STRANGE_IDS)
    ]
    bad = [
        '{"user":"\\ud800","item":"a","ts":1700006300}',
        json.dumps({"user": "u", "item": "i" * 10**6, "ts": 1700006300}),
    ]
    events = tmp_path / "events.jsonl"
    events.write_text("".join(f"{line}\n" for line in [*map(json.dumps, rows), *bad]))
    vectors = vectors_of(rows, tmp_path)
    arguments = ["--events", str(events), "--items", str(vectors), "--vectors", str(vectors), "--no-peers"]
    expected = replay([*arguments, "--candidates", "all"], tmp_path / "python", "--engine", "python")
    assert (expected["accepted"], expected["dead_letters"]) == (len(rows), 2)

    report = replay([*arguments, "--candidates", "all"], tmp_path / "flink", "--mode", mode)

    assert same(expected) == same(report)
    users = {line["user"] for line in lines_in(tmp_path / "flink" / "recommendations")}
    assert users == set(STRANGE_IDS)
    shown = {item for line in lines_in(tmp_path / "flink" / "recommendations") for item in line["items"]}
    assert shown == set(STRANGE_IDS)
