"""A job on a real Flink cluster: whatever its operators do to it, and whatever dies, readers see the oracle's lists."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.broker import free_port
from jobs.cluster import JOB_MANAGER, Cluster, Shape
from tests.jobs.cluster_job import ClusterJob
from tests.jobs.live_log import Sent, in_parts, initial_vectors, items_of, real_log
from tests.jobs.live_oracle import assert_equal_messages, lists_over, oracle


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of this module's own, whose job manager is highly available."""
    with Cluster(tmp_path_factory.mktemp("flink"), Shape(port=free_port(), ha=True)) as cluster:
        yield cluster


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.slow
def test_a_life_on_a_cluster(tmp_path: Path, kafka: str, cluster: Cluster) -> None:
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

    job_id, _ = job.call("submit", "--mode", "thread")
    learn(0)
    assert f"runs on {cluster.target}" not in job.call("status")[0]
    assert f"running on {cluster.target} as {job_id}" in job.call("status")[0]
    _, told = job.call("submit", "--mode", "thread", status=2)
    assert f"is on {cluster.target} already, running as {job_id}" in told

    saved, _ = job.call("stop")
    assert saved.startswith((job.state / "savepoints").as_uri().replace("file://", "file:"))
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

    assert_equal_messages(over, job.read(job.config.lists.topic))


def _frozen(job: ClusterJob) -> Path:
    """Return the catalogue that the job will find in its topic when it starts."""
    from jobs.snapshot import freeze_vectors

    file = job.folder / "catalogue.safetensors"
    freeze_vectors(job.config, file)
    return file
