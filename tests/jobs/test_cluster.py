"""A job on a real Flink cluster: whatever its operators do to it, and whatever dies, readers see the oracle's lists."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from jobs.broker import steady_port
from jobs.cli import main
from jobs.job_metrics import METRICS, PREFIX
from jobs.session_cluster import JOB_MANAGER, Cluster, Shape
from online.event import REASONS
from state.errors import HeadwaterError
from tests.jobs.cluster_job import ClusterJob
from tests.jobs.live_job import ROOT
from tests.jobs.live_log import Sent, in_parts, initial_vectors, items_of, real_log
from tests.jobs.live_oracle import assert_right, lists_over, oracle
from tests.jobs.processes import lives


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own, whose job manager is highly available."""
    with Cluster(tmp_path_factory.mktemp("flink"), Shape(port=steady_port(), ha=True, metrics=True)) as cluster:
        yield cluster


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.slow
def test_a_life_on_a_cluster(
    tmp_path: Path, kafka: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped, resumed, rescaled 1 -> 2 -> 1, task manager and job manager killed: its lists are those of one run.

    Each exactly once, the same bytes as the oracle's.
    """
    log = real_log(4000, 2)
    job = ClusterJob(kafka, tmp_path, "on-cluster", 2, cluster)
    initial = initial_vectors(items_of(log), log[0].record.at_ms - 1000)
    job.send(job.config.vectors.topic, initial)
    expected = oracle(job.config, _frozen(job), log, [Sent(each, "") for each in initial])
    over = lists_over(job.config, expected, log)
    parts, enough = in_parts(log, 5), [len(over) * number // 5 for number in range(1, 6)]

    def learn(number: int) -> None:
        """Let the job read one more fifth, and see lists of it."""
        job.send(job.config.events.topic, parts[number])
        job.until_lists(enough[number] - len(over) // 10)

    monkeypatch.setattr("jobs.submission.SLOTS_S", 0.0)
    assert main(["submit", "--config", str(job.file), "--target", cluster.target, "--parallelism", "3"]) == 2
    assert "has 2 free slots of 2 in 2 task managers; parallelism 3 needs as many" in capsys.readouterr().err
    _, told = job.call("resume", status=2)
    assert "holds no savepoint and no checkpoint; start the job with headwater submit" in told

    job_id, _ = job.call("submit", "--mode", "thread")
    learn(0)
    check_metrics(cluster)
    assert f"running on {cluster.target} as {job_id}" in job.call("status")[0]
    _, told = job.call("submit", "--mode", "thread", status=2)
    assert f"is on {cluster.target} already, running as {job_id}" in told

    status, told = job.run("--mode", "thread")
    assert status == 2
    assert f"the job of {job.state} is running on {cluster.target} as {job_id}" in told
    (job.state / "savepoints").write_text("in the way")
    _, told = job.call("savepoint", status=2)
    assert f"no savepoint of job {job_id}: " in told
    (job.state / "savepoints").unlink()
    _, told = job.call("stop", "--job", "0" * 32, status=2)
    assert f"has no job {'0' * 32}; it has: {job_id} (on-cluster, running)" in told

    saved, _ = job.call("stop")
    assert saved.startswith((job.state / "savepoints").as_uri().replace("file://", "file:"))
    _, told = job.call("submit", "--mode", "thread", status=2)
    assert f"the job on-cluster has learned something already: {job.state}" in told
    _, told = job.call("stop", status=2)
    assert f"no job on-cluster runs on Flink at {cluster.target}" in told
    job.call("resume", "--mode", "thread", "--parallelism", "2")
    learn(1)

    killed = cluster.members()["task-manager-1"].pid
    os.kill(killed, signal.SIGKILL)
    job.until(lambda: cluster.members()["task-manager-1"].pid not in (0, killed))
    learn(2)

    job.call("savepoint")
    job.call("stop", "--no-savepoint")
    _, told = job.call("resume", "--mode", "thread", "--parallelism", "1")
    assert "goes on from" in told
    learn(3)

    job_manager = cluster.members()[JOB_MANAGER].pid
    os.kill(job_manager, signal.SIGKILL)
    learn(4)
    assert cluster.members()[JOB_MANAGER].starts == 2
    job.until_lists(len(over))
    job.call("stop")

    assert_right(over, job.read(job.config.lists.topic))


def check_metrics(cluster: Cluster) -> None:
    """Prometheus would see each metric that is documented, with numbers that fit together, and those of the alarms."""
    deadline = time.monotonic() + 60
    while not is_complete(found := scraped(cluster)):
        assert time.monotonic() < deadline, sorted(found)
        time.sleep(1)
    sums = {name: sum(found[PREFIX + name].values()) for name in METRICS}
    assert sums["records"] >= sums["accepted"] + sums["duplicates"] >= sums["accepted"] >= sums["scored"] > 0
    assert sums["lists"] > 0 and sums["ticks"] > 0 and sums["items"] > 900
    reasons = labels_of(found[PREFIX + "reason_dead_letters"], "reason")
    assert "late" in reasons and reasons.keys() <= REASONS.keys()
    ages = labels_of(found[PREFIX + "le_event_to_list"], "le")
    assert ages["+Inf"] == sums["accepted"] and ages["60000"] == 0  # of events of years ago
    told = set(re.findall(r"`(flink_\w+)`", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")))
    assert told - {PREFIX} - found.keys() == set(), "docs/operations.md names metrics that there are not"


def labels_of(values: dict[str, float], label: str) -> dict[str, float]:
    """Return a label's value -> the metric's."""
    return {re.findall(rf'(?:^|,){label}="([^"]+)"', labels)[0]: value for labels, value in values.items()}


def is_complete(found: dict[str, dict[str, float]]) -> bool:
    """Tell whether all of ours have come: a reporter asks the operators every few seconds."""
    return all(PREFIX + name in found for name in METRICS) and sum(found[PREFIX + "le_event_to_list"].values()) > 0


def scraped(cluster: Cluster) -> dict[str, dict[str, float]]:
    """Return metric -> labels -> value of all processes of the cluster, as Prometheus reads them."""
    found: dict[str, dict[str, float]] = {}
    for port in cluster.metrics_ports().values():
        for line in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines():
            if parsed := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line):
                found.setdefault(parsed[1], {})[f"{port},{parsed[2]}"] = float(parsed[3])
    return found


def _frozen(job: ClusterJob) -> Path:
    """Return the catalogue that the job will find in its topic when it starts."""
    from jobs.snapshot import freeze_vectors

    file = job.folder / "catalogue.safetensors"
    freeze_vectors(job.config, file)
    return file


@pytest.mark.flink
@pytest.mark.slow
def test_up_status_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`up` ends while the cluster goes on; a second one starts nothing; another shape is refused; `down` ends all."""
    port = steady_port()
    given = ["--port", str(port), "--dir", str(tmp_path), "--task-managers", "1"]
    up = [sys.executable, "-m", "jobs.cli", "cluster", "up", *given]
    try:
        done = subprocess.run(up, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"is up at http://127.0.0.1:{port}" in done.stdout
        assert main(["cluster", "up", *given]) == 0
        assert "was already running" in capsys.readouterr().out
        assert main(["cluster", "up", *given[:-1], "2"]) == 2
        assert "is running with --port" in capsys.readouterr().err
        assert main(["cluster", "status", *given]) == 0
        assert "1 task managers, 1 of 1 slots free, 0 jobs running" in capsys.readouterr().out
        cluster = Cluster(tmp_path, Shape(port=port))
        members = [member.pid for member in cluster.members().values()]
        assert listening_beyond_loopback(members) == []
        os.kill(cluster.pid() or 0, signal.SIGKILL)
        assert main(["cluster", "status", *given]) == 1
        assert "without its supervisor" in capsys.readouterr().out
    finally:
        assert main(["cluster", "down", *given]) == 0
    assert "is stopped" in capsys.readouterr().out
    assert [pid for pid in members if lives(pid)] == []
    assert main(["cluster", "status", *given]) == 1
    assert "is not running" in capsys.readouterr().out
    assert main(["cluster", "down", *given]) == 0
    assert "was not running" in capsys.readouterr().out


def listening_beyond_loopback(pids: list[int]) -> list[str]:
    """Return the addresses on which processes listen that other machines could reach, as /proc has them."""
    sockets = set()
    for link in [link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir()]:
        with contextlib.suppress(FileNotFoundError):  # it was closed just now
            sockets.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    listening, loopback = "0A", ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == listening and fields[9] in sockets and not fields[1].startswith(loopback):
                found.append(fields[1])
    return found


def test_an_occupied_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that another program holds is told before any Java starts."""
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        port = occupant.getsockname()[1]
        assert main(["cluster", "up", "--port", str(port), "--dir", str(tmp_path)]) == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_java_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started, with what to do."""

    def no_java() -> None:
        raise HeadwaterError("no usable Java; found PATH: none; expected Java 11 to 21; install one")

    monkeypatch.setattr("jobs.java.find_java", no_java)
    assert main(["cluster", "up", "--port", str(steady_port()), "--dir", str(tmp_path)]) == 2
    assert "no usable Java" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--task-managers", "0"], "--task-managers is 0; expected at least 1"),
        (["--environment", "moon"], "--environment is moon; expected one that"),
        (["--dir", "/dev/null/x"], "cannot keep a cluster in /dev/null/x"),
    ],
)
def test_mistakes(more: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, status 2."""
    assert main(["cluster", "up", "--port", str(steady_port()), *more]) == 2
    assert text in capsys.readouterr().err


def test_down_never_ends_a_stranger(tmp_path: Path) -> None:
    """A record whose numbers passed to other processes ends nobody."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        record = {"supervisor": stranger.pid, "members": {JOB_MANAGER: [stranger.pid, 1]}, "shape": Shape()._asdict()}
        (tmp_path / "cluster.json").write_text(json.dumps(record))
        assert Cluster(tmp_path).stop() is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
