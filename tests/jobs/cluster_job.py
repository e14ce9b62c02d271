"""A job under test on a real Flink cluster: the commands that drive its life, and what becomes of it."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jobs.flink_rest import FlinkRest
from jobs.session_cluster import Cluster
from tests.jobs.live_job import END_S, ROOT, START_S, LiveJob


class ClusterJob(LiveJob):
    """A job on fresh topics that runs on a cluster, not in a process of its own."""

    def __init__(self, kafka: str, folder: Path, name: str, partitions: int, cluster: Cluster) -> None:
        """Make the topics."""
        super().__init__(kafka, folder, name, partitions)
        self.cluster = cluster
        self.flink = FlinkRest(cluster.target)

    def call(self, command: str, *arguments: str, status: int = 0) -> tuple[str, str]:
        """Run `headwater COMMAND` on the job to its end; return both outputs."""
        given = ["--config", str(self.file), "--target", self.cluster.target, *arguments]
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", command, *given],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=END_S,
        )
        assert done.returncode == status, done.stdout + done.stderr + self._told()
        return done.stdout.strip(), done.stderr.strip()

    def until(self, what: Callable[[], bool], limit_s: float = START_S) -> float:
        """Wait until something holds; return the seconds it took."""
        start = time.monotonic()
        while not what():
            assert time.monotonic() < start + limit_s, self._told()
            time.sleep(0.2)
        return time.monotonic() - start

    def until_lists(self, count: int) -> float:
        """Wait until readers see so many lists; return the seconds it took."""
        return self.until(lambda: len(self.read(self.config.lists.topic)) >= count)

    def runs(self) -> bool:
        """Tell whether all tasks of the job run."""
        jobs = [job for job in self.flink.jobs() if job.name == self.config.name and not job.is_over]
        return bool(jobs) and all(task["status"] == "RUNNING" for task in self.flink.job(jobs[0].job_id)["vertices"])

    def _told(self) -> str:
        """Return the ends of the cluster's logs."""
        logs = [*self.cluster.logs.glob("*.log"), *self.cluster.logs.glob("*.err")]
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in sorted(logs))
