"""Which job on which cluster a command is about."""

import argparse
from pathlib import Path
from typing import NamedTuple

from jobs.config import Config, load_config
from jobs.flink_rest import TARGET, FlinkRest, JobState
from state.errors import HeadwaterError


class Subject(NamedTuple):
    """A job by its configuration, and the cluster that has it."""

    config: Config
    target: FlinkRest


def add_target(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name a job and its cluster."""
    parser.add_argument("--config", type=Path, metavar="F", required=True, help="job.toml with topics")
    parser.add_argument(
        "--target", default=TARGET, metavar="URL", help="REST address of Flink's job manager (%(default)s)"
    )


def add_job(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that picks one of several jobs."""
    parser.add_argument("--job", metavar="ID", help="Flink's id of the job (the one that has the configuration's name)")


def subject_of(args: argparse.Namespace) -> Subject:
    """Return what the arguments of `add_target` name."""
    return Subject(load_config(args.config), FlinkRest(args.target))


def running_job(subject: Subject, job_id: str | None) -> JobState:
    """Return the job that runs, by its id or else by the configuration's name.

    Raises:
        HeadwaterError: there is none; the text has those that are there.
    """
    config, target = subject
    jobs = target.jobs()
    known = ", ".join(f"{job.job_id} ({job.name}, {job.state.lower()})" for job in jobs) or "none"
    if job_id is not None:
        found = [job for job in jobs if job.job_id == job_id]
        if not found:
            raise HeadwaterError(f"Flink at {target.target} has no job {job_id}; it has: {known}; correct --job")
        if found[0].is_over:
            raise HeadwaterError(
                f"the job {job_id} at {target.target} is {found[0].state.lower()}; expected a running one"
            )
        return found[0]
    running = [job for job in jobs if job.name == config.name and not job.is_over]
    if not running:
        raise HeadwaterError(
            f"no job {config.name} runs on Flink at {target.target}; it has: {known}; start it with headwater submit, "
            "or resume, or name another --target"
        )
    return running[0]
