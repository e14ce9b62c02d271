"""`headwater resume`: start a live job on a Flink cluster from what it has learned; it may have grown or shrunk."""

import argparse
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jobs.flink_env import LOGS
from jobs.place import Place, open_place
from jobs.run import vectors_of
from jobs.submission import submit, tell
from jobs.submit import add_how, make_ready
from jobs.targets import add_target
from jobs.transaction_checks import add_accept_loss, require_whole
from state.errors import HeadwaterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_target(parser)
    add_how(parser)
    add_accept_loss(parser)
    parser.add_argument(
        "--from", dest="state", metavar="PATH", help="a savepoint or checkpoint (the newest that the job has)"
    )


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    config, target, mode = make_ready(args)
    named = None if args.state is None else state_at(args.state)
    place = _with_state(open_place(config, mode, fresh=False), named)
    if told := require_whole(config, place.restore, place.folder / LOGS, accept_loss=args.accept_loss):
        tell(config, told)
    done = submit(config, mode, place, vectors_of(config, place), target, args.python)
    tell(config, f"goes on from {done.restored} with parallelism {config.flink.parallelism} on {target.target}")
    print(done.job_id)
    return 0


def state_at(named: str) -> Path:
    """Return the folder of a savepoint or checkpoint that a path or a file: address names.

    Raises:
        HeadwaterError: it holds none.
    """
    path = Path(unquote(urlsplit(named).path) if named.startswith("file:") else named).absolute()
    if not (path / "_metadata").is_file():
        raise HeadwaterError(
            f"--from is {named}; expected the folder of a savepoint or checkpoint, with a file _metadata in it; "
            "headwater status tells the newest"
        )
    return path


def _with_state(place: Place, named: Path | None) -> Place:
    if named is not None:
        return place._replace(restore=named)
    if place.restore is None:
        raise HeadwaterError(
            f"{place.folder} holds no savepoint and no checkpoint; start the job with headwater submit, or name a "
            "state with --from"
        )
    return place
