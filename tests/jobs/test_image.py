"""The image's steps in a plain folder: what they make runs the job in application mode, and upgrades it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.broker import steady_port
from jobs.flink_rest import FlinkRest
from jobs.supervisor import end_group
from tests.jobs.live_job import END_S, ROOT, START_S, LiveJob
from tests.jobs.live_log import Sent, in_parts, initial_vectors, items_of, real_log
from tests.jobs.live_oracle import assert_right, lists_over, oracle

DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flink's home as the Dockerfile makes it, but for one machine; what is compiled here already is not once more."""
    folder = tmp_path_factory.mktemp("image") / "flink"
    if (compiled := ROOT / "online" / "__pycache__").is_dir():
        shutil.copytree(compiled, folder / "kernels")
    command = [sys.executable, "-m", "jobs.image", str(folder), "--environment", "local"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=END_S)
    assert done.returncode == 0, done.stderr
    return folder


class Pods:
    """A job manager and a task manager, each started through the image's entry point as in a pod of its own."""

    def __init__(self, image: Path, folder: Path, job: LiveJob) -> None:
        self.rest = FlinkRest(f"http://127.0.0.1:{steady_port()}")
        self._image = image
        self._folder = folder
        self._job = job
        self._rpc = steady_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, more: dict[str, str] | None = None) -> None:
        """Start both; `more` is what an operator adds to the configuration."""
        given = {
            "rest.port": str(self.rest.port),
            "jobmanager.rpc.port": str(self._rpc),
            "execution.checkpointing.dir": (self._folder / "checkpoints").as_uri(),
            "io.tmp.dirs": str(self._folder / "tmp"),
            "metrics.reporters": "none",
            **(more or {}),
        }
        settings = [word for key, value in given.items() for word in ("-D", f"{key}={value}")]
        driver = ["--job-classname", "org.apache.flink.client.python.PythonDriver"]
        program = ["-pyclientexec", sys.executable, "-pym", "jobs.application", "--config", str(self._job.file)]
        self._run("standalone-job.sh", "start-foreground", *driver, *settings, *program, "--mode", "thread")
        self._run("taskmanager.sh", "start-foreground", *settings)

    def stop(self) -> None:
        """End both."""
        for process in self._processes:
            end_group(process.pid, signal.SIGTERM)
        for process in self._processes:
            process.wait(30)
            end_group(process.pid, signal.SIGKILL)
        self._processes.clear()

    def running(self) -> str:
        """Wait until the job runs; return its id."""
        deadline = time.monotonic() + START_S
        while True:
            assert time.monotonic() < deadline, self._told()
            assert all(process.poll() is None for process in self._processes), self._told()
            try:
                jobs = [job for job in self.rest.jobs() if job.state == "RUNNING"]
            except Exception:  # it is not there yet
                jobs = []
            if jobs:
                return jobs[0].job_id
            time.sleep(0.3)

    def until_lists(self, count: int) -> None:
        """Wait until readers see so many lists."""
        deadline = time.monotonic() + START_S
        while len(self._job.read(self._job.config.lists.topic)) < count:
            assert time.monotonic() < deadline, self._told()
            time.sleep(0.3)

    def _run(self, script: str, *arguments: str) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
        environment |= {
            "FLINK_HOME": str(self._image),
            "HEADWATER_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),  # the image has the code installed
            "FLINK_LOG_DIR": str(self._folder),
            "FLINK_PID_DIR": str(self._folder),
        }
        command = [str(DEPLOY / "entrypoint.sh"), script, *arguments]
        with (self._folder / f"{script}.out").open("ab") as out:
            process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        self._processes.append(process)

    def _told(self) -> str:
        return "\n".join(file.read_text(errors="replace")[-4000:] for file in sorted(self._folder.glob("*.out")))


@pytest.fixture
def job(tmp_path: Path, kafka: str) -> Iterator[LiveJob]:
    """A job whose folder all pods see."""
    (tmp_path / "job").mkdir()
    yield LiveJob(kafka, tmp_path / "job", "application", 2)


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.slow
def test_an_upgrade_in_application_mode(tmp_path: Path, image: Path, job: LiveJob) -> None:
    """Started by Flink, stopped with a savepoint, started from it as an operator does: lists are those of one run."""
    log = real_log(2000, 2)
    initial = initial_vectors(items_of(log), log[0].record.at_ms - 1000)
    job.send(job.config.vectors.topic, initial)
    halves = in_parts(log, 2)
    pods = Pods(image, tmp_path, job)
    compiled = kernels(image)
    try:
        pods.start()
        job.send(job.config.events.topic, halves[0])
        job_id = pods.running()
        expected = oracle(job.config, job.state / "vectors.safetensors", log, [Sent(each, "") for each in initial])
        over = lists_over(job.config, expected, log)
        pods.until_lists(len(over) // 3)
        saved = pods.rest.stop(job_id, (tmp_path / "savepoints").as_uri())
        pods.stop()
        pods.start({"execution.state-recovery.path": saved})
        pods.running()
        job.send(job.config.events.topic, halves[1])
        pods.until_lists(len(over))
    finally:
        pods.stop()

    assert_right(over, job.read(job.config.lists.topic))
    assert kernels(image) == compiled, "a pod compiled what the image should have had"


def kernels(image: Path) -> set[str]:
    """Return the compiled kernels of an image."""
    return {file.name for file in (image / "kernels").rglob("*.nbc")}


def test_the_dockerfile_copies_what_there_is() -> None:
    """Each source of a COPY is in the repository, and each package of pyproject.toml is copied."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for word in line.split()}
    assert copied >= {"state", "online", "models", "jobs", "flink-conf", "deploy", "pyproject.toml", "README.md"}
    for name in copied:
        assert (ROOT / name).exists(), name
    assert "jobs.image /opt/flink" in text
    assert "/opt/headwater/deploy/entrypoint.sh" in text
