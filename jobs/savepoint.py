"""`headwater savepoint`: keep what a running job has learned, to go back to or to move; the job runs on."""

import argparse

from jobs.place import SAVEPOINTS, place_folder
from jobs.targets import add_job, add_target, running_job, subject_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_target(parser)
    add_job(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = subject_of(args)
    job = running_job(subject, args.job)
    print(subject.target.savepoint(job.job_id, (place_folder(subject.config) / SAVEPOINTS).as_uri()))
    return 0
