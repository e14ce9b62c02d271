"""`headwater stop`: end a job on a Flink cluster after a savepoint, when its outputs are committed."""

import argparse

from jobs.place import SAVEPOINTS, place_folder
from jobs.submission import tell
from jobs.targets import add_job, add_target, running_job, subject_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_target(parser)
    add_job(parser)
    parser.add_argument(
        "--no-savepoint",
        action="store_true",
        help="end it at once; headwater resume goes on from its last checkpoint",
    )


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = subject_of(args)
    job = running_job(subject, args.job)
    if args.no_savepoint:
        subject.target.cancel(job.job_id)
        tell(subject.config, f"ended {job.job_id}; headwater resume goes on from its last checkpoint")
        return 0
    saved = subject.target.stop(job.job_id, (place_folder(subject.config) / SAVEPOINTS).as_uri())
    tell(subject.config, f"stopped {job.job_id}; headwater resume goes on from its savepoint")
    print(saved)
    return 0
