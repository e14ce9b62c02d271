"""Submits a live job to a Flink cluster: the same graph as `headwater run`, with its code and catalogue packed up."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from jobs.config import Config
from jobs.flink_rest import FlinkRest
from jobs.place import Place, note_submission
from state.errors import HeadwaterError

SLOTS_S = 15.0  # a task manager that was just started, or is freed of another job, is worth waiting for
RUNNING_S = 180.0  # until all tasks run: 10 s on an idle machine, most of it imports of the task managers
POLL_S = 0.3


class Submitted(NamedTuple):
    """A job that a cluster has taken and that runs."""

    job_id: str
    restored: Path | None


def submit(config: Config, mode: str, place: Place, vectors: Path, target: FlinkRest, python: str | None) -> Submitted:
    """Submit the job and wait until all its tasks run.

    Args:
        config: of the job.
        mode: thread or process.
        place: of the job's state; every machine of the cluster must see it under the same path.
        vectors: file of the initial catalogue.
        target: the cluster.
        python: the interpreter of process mode on the task managers; None: `python` on their PATH.

    Raises:
        HeadwaterError: the cluster does not answer or refuses the job, or the job fails.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-package-") as folder:
        job_id = _submit(config, mode, place, vectors, target, python, Path(folder))
    note_submission(place, target.target, job_id)
    _wait_until_running(job_id, target)
    return Submitted(job_id, place.restore)


def require_room(config: Config, target: FlinkRest) -> None:
    """Hold that the cluster has slots for the job, and no job of its name, which would undo its transactions.

    Raises:
        HeadwaterError: it has not, or does not answer.
    """
    for job in target.jobs():
        if job.name == config.name and not job.is_over:
            raise HeadwaterError(
                f"the job {config.name} is on {target.target} already, {job.state.lower()} as {job.job_id}; expected "
                "no job of that name; end it with headwater stop, or give this one another name"
            )
    deadline = time.monotonic() + SLOTS_S
    while (found := target.overview())["slots-available"] < config.flink.parallelism:
        if time.monotonic() > deadline:
            raise HeadwaterError(
                f"Flink at {target.target} has {found['slots-available']} free slots of {found['slots-total']} in "
                f"{found['taskmanagers']} task managers; parallelism {config.flink.parallelism} needs as many slots; "
                "add task managers, or lower it with --parallelism"
            )
        time.sleep(POLL_S)


def _submit(
    config: Config, mode: str, place: Place, vectors: Path, target: FlinkRest, python: str | None, package: Path
) -> str:
    from jobs.flink_env import LOGS, as_configuration, connector_options, flink_in, job_options, start, start_jvm
    from jobs.package import pack

    name = pack(package, vectors)
    start_jvm(place.folder / LOGS, live=True)
    from pyflink.datastream import StreamExecutionEnvironment
    from pyflink.java_gateway import get_gateway

    options = {
        **job_options(config, mode, place.checkpoints, place.restore),
        **connector_options(config),
        "execution.target": "remote",
        "execution.attached": "false",
        "rest.address": target.host,
        "rest.port": str(target.port),
        "security.ssl.rest.enabled": str(target.target.startswith("https:")).lower(),
        "python.files": str(package),
        **({"python.executable": python} if python else {}),
    }
    # PyFlink's own way gives an environment in this process, whatever execution.target says.
    java = get_gateway().jvm.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    env: Any = StreamExecutionEnvironment(java(as_configuration(options)._j_configuration))
    flink = flink_in(env, config)
    from jobs.live import build_live

    build_live(flink, config, name, mode)
    return start(flink, config.name).job_id


def _wait_until_running(job_id: str, target: FlinkRest) -> None:
    deadline = time.monotonic() + RUNNING_S
    while True:
        job = target.job(job_id)
        if all(vertex["status"] in ("RUNNING", "FINISHED") for vertex in job["vertices"]) and job["vertices"]:
            return
        if cause := target.failure(job_id):
            over = job["state"] == "FAILED"
            advice = "mend that" if over else "it is tried again until it is stopped: headwater status, headwater stop"
            raise HeadwaterError(
                f"the job {job_id} at {target.target} {'failed' if over else 'fails'}: {cause}; {advice}"
            )
        if time.monotonic() > deadline:
            states = {vertex["status"] for vertex in job["vertices"]}
            raise HeadwaterError(
                f"the job {job_id} at {target.target} does not run after {RUNNING_S:g} s (its tasks are "
                f"{', '.join(sorted(states)).lower()}); look into {target.target}/#/job/running/{job_id}/overview"
            )
        time.sleep(POLL_S)


def tell(config: Config, what: str) -> None:
    """Say what becomes of a job."""
    print(f"{config.name}: {what}", file=sys.stderr, flush=True)
