"""`headwater submit`: start a live job on a Flink cluster, with nothing learned yet."""

import argparse
from typing import NamedTuple

from jobs.config import Config, load_config
from jobs.flink_rest import FlinkRest
from jobs.modes import choose_mode
from jobs.place import newest_state, open_place, place_folder
from jobs.run import check_topics, check_vectors, vectors_of
from jobs.submission import require_room, submit, tell
from jobs.targets import add_target
from jobs.transaction_checks import require_transactions
from state.errors import HeadwaterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_target(parser)
    add_how(parser)
    parser.add_argument("--fresh", action="store_true", help="forget what the job has learned, and start anew")


def add_how(parser: argparse.ArgumentParser) -> None:
    """Declare how the job is to run."""
    parser.add_argument("--mode", choices=("auto", "thread", "process"), help="how Flink runs Python (auto)")
    parser.add_argument("--parallelism", type=int, metavar="N", help="of the Flink job (1); it needs as many slots")
    parser.add_argument(
        "--python", metavar="PATH", help="Python of process mode on the task managers (the one on their PATH)"
    )


class Ready(NamedTuple):
    """A live job that nothing keeps from running on a cluster."""

    config: Config
    target: FlinkRest
    mode: str  # thread or process


def make_ready(args: argparse.Namespace) -> Ready:
    """Return the job of the arguments, checked with all that it needs.

    Raises:
        HeadwaterError: the configuration, the vectors, the cluster, the topics or the broker are not as the job needs.
    """
    config = load_config(args.config, {"flink.mode": args.mode, "flink.parallelism": args.parallelism})
    target = FlinkRest(args.target)
    check_vectors(config)
    require_room(config, target)
    check_topics(config)
    require_transactions(config)
    return Ready(config, target, choose_mode(config.flink.mode))


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    config, target, mode = make_ready(args)
    state = newest_state(place_folder(config))
    if state is not None and not args.fresh:
        raise HeadwaterError(
            f"the job {config.name} has learned something already: {state}; go on from it with headwater resume, or "
            "forget it with --fresh"
        )
    place = open_place(config, mode, fresh=args.fresh)
    done = submit(config, mode, place, vectors_of(config, place), target, args.python)
    tell(config, f"{config.events.topic} -> {config.lists.topic}, {mode} mode, runs on {target.target}")
    print(done.job_id)
    tell(config, f"look at {target.target}/#/job/running/{done.job_id}/overview, or headwater status --config")
    return 0
