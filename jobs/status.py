"""`headwater status`: how a job on a Flink cluster is, and from what it would go on."""

import argparse
import time
from collections.abc import Iterator
from typing import Any

from jobs.flink_rest import JobState
from jobs.place import newest_state, place_folder
from jobs.targets import Subject, add_job, add_target, subject_of
from state.errors import HeadwaterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_target(parser)
    add_job(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command; return 1 unless all tasks of the job run."""
    subject = subject_of(args)
    job = _newest(subject, args.job)
    state = newest_state(place_folder(subject.config))
    if job is None:
        print(f"{subject.config.name}: no job of that name on {subject.target.target}")
    else:
        for line in _lines(subject, job):
            print(line)
    print(f"  headwater resume would go on from: {state or 'nothing'}")
    return 0 if job is not None and job.state == "RUNNING" else 1


def _newest(subject: Subject, job_id: str | None) -> JobState | None:
    jobs = subject.target.jobs()
    if job_id is not None:
        found = [job for job in jobs if job.job_id == job_id]
        if not found:
            known = ", ".join(f"{job.job_id} ({job.name})" for job in jobs) or "none"
            raise HeadwaterError(
                f"Flink at {subject.target.target} has no job {job_id}; it has: {known}; correct --job"
            )
        return found[0]
    named = [job for job in jobs if job.name == subject.config.name]
    return next((job for job in named if not job.is_over), named[0] if named else None)


def _lines(subject: Subject, job: JobState) -> Iterator[str]:
    target = subject.target
    told = target.job(job.job_id)
    tasks = told["vertices"]
    running = sum(task["status"] == "RUNNING" for task in tasks)
    yield f"{job.name}: {job.state.lower()} on {target.target} as {job.job_id}"
    yield f"  {running} of {len(tasks)} tasks run, for {_age(job.start_ms)}"
    restarts = target.metrics(job.job_id, ("numRestarts",)).get("numRestarts", "0")
    yield f"  restarts: {restarts}" + (f"; the last because: {why}" if (why := target.failure(job.job_id)) else "")
    checkpoints: Any = target.checkpoints(job.job_id)
    counts, latest = checkpoints["counts"], checkpoints["latest"]
    yield f"  checkpoints: {counts['completed']} done, {counts['failed']} failed, {counts['in_progress']} under way"
    if done := latest.get("completed"):
        took = f"{done['end_to_end_duration']} ms, {done['state_size']:,} bytes of state"
        yield f"  the newest: {done['external_path']}, {_age(done['latest_ack_timestamp'])} ago, {took}"
    if failed := latest.get("failed"):
        yield f"  the last that failed: {' '.join((failed.get('failure_message') or 'no reason told').split())}"


def _age(ms: int) -> str:
    return f"{max(0.0, time.time() - ms / 1000):.0f} s"
