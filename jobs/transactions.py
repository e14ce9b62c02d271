"""`headwater transactions`: a job's open transactions, who still needs them, and an end to those that nobody does."""

import argparse
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from jobs.committables import Committable, Held
from jobs.config import Config, load_config
from jobs.kafka_java import JavaAdmin, Transaction
from jobs.place import CHECKPOINTS, PASS, SAVEPOINTS, hold_place, place_folder
from jobs.unfinished import newest_checkpoint
from state.errors import HeadwaterError

_AGAIN_S, _ENDED_S = 0.1, 10.0  # the coordinator writes the markers after it has answered


class Needed(NamedTuple):
    """A transaction, and the checkpoint that means to commit it, if one does."""

    transaction: Transaction
    checkpoint: Path | None

    def __str__(self) -> str:
        """One line for people."""
        name, state, _, _, timeout_ms, open_s, partitions = self.transaction
        where = ", ".join(f"{topic}/{partition}" for topic, partition in partitions) or "nothing yet"
        since = f" for {open_s:.0f} s (the broker aborts it after {timeout_ms / 1000:g} s)" if open_s else ""
        needed = f"; {self.checkpoint} will commit it" if self.checkpoint else ""
        return f"{name}: {state}{since}, wrote to {where}{needed}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `headwater transactions`."""
    actions = parser.add_subparsers(dest="action", metavar="list|abort", required=True)
    shown = actions.add_parser("list", help="show the job's open transactions, for which readers wait")
    shown.add_argument("--all", action="store_true", help="ended ones too")
    abort = actions.add_parser("abort", help="end open transactions that nobody will commit, so that readers go on")
    abort.add_argument("names", nargs="*", metavar="ID", help="which (all of the job's that no checkpoint needs)")
    abort.add_argument("--force", action="store_true", help="those too that a checkpoint would commit: lists are lost")
    for action in (shown, abort):
        action.add_argument("--config", type=Path, metavar="F", required=True, help="the job's job.toml")


def main(args: argparse.Namespace) -> int:
    """Run the command; `list` returns 1 where one is open, `abort` where one is left open."""
    config = load_config(args.config)
    if not config.lists.topic:
        raise HeadwaterError(f"{args.config} names no lists.topic; a job that writes files has no transactions")
    with tempfile.TemporaryDirectory(prefix="headwater-") as logs, JavaAdmin(config, Path(logs)) as admin:
        found = needed(config, admin.transactions(f"{config.name}-"))
        if args.action == "list":
            return _list(config, found, ended=args.all)
        with nullcontext() if args.force else hold_place(config):  # a job that runs commits its own
            return _abort(config, admin, found, args.names, force=args.force)


def needed(config: Config, transactions: list[Transaction]) -> list[Needed]:
    """Return the job's transactions, each with the checkpoint that would commit it."""
    folder = place_folder(config)
    newest = [newest_checkpoint(folder / CHECKPOINTS, folder / SAVEPOINTS), newest_checkpoint(folder / PASS)]
    held = [Held(checkpoint) for checkpoint in newest if checkpoint is not None]
    return [
        Needed(one, next((each.checkpoint for each in held if is_pending(each.of(one.name, one.producer), one)), None))
        for one in transactions
    ]


def is_pending(committable: Committable | None, transaction: Transaction) -> bool:
    """Tell whether a checkpoint holds this very transaction: each later one of the same id has a higher epoch."""
    return committable is not None and transaction.is_open and committable.epoch == transaction.epoch


def _list(config: Config, found: list[Needed], *, ended: bool) -> int:
    is_open = [one for one in found if one.transaction.is_open]
    for one in found if ended else is_open:
        print(one)
    if not is_open:
        print(f"{config.name} has no open transaction")
    elif not all(one.checkpoint for one in is_open):
        print("if the job is not running, end those that no checkpoint will commit: headwater transactions abort")
    return 1 if is_open else 0


def _abort(config: Config, admin: JavaAdmin, found: list[Needed], names: list[str], *, force: bool) -> int:
    by_name = {one.transaction.name: one for one in found}
    if unknown := [name for name in names if name not in by_name]:
        raise HeadwaterError(
            f"{config.name} has no transaction {unknown[0]}; see headwater transactions list --all --config"
        )
    chosen = [one for one in found if one.transaction.is_open and (not names or one.transaction.name in names)]
    kept = [one for one in chosen if one.checkpoint and not force]
    for one in kept:
        print(
            f"kept {one.transaction.name}: {one.checkpoint} will commit it when the job is started again; with --force "
            "what it wrote is lost"
        )
    ends = [one for one in chosen if one not in kept]
    if ends:
        admin.fence(one.transaction.name for one in ends)
        _wait_until_ended(admin, config, {one.transaction.name for one in ends})
    for one in ends:
        where = ", ".join(f"{topic}/{partition}" for topic, partition in one.transaction.partitions)
        lost = (
            f"what {one.checkpoint} had for {where} is lost: a run from it goes on behind that; start from an earlier "
            "savepoint, or --fresh, to have it made again"
            if one.checkpoint
            else "nothing is lost: no checkpoint holds it, and the job makes it again"
        )
        print(f"aborted {one.transaction.name}; {lost}")
    if not chosen:
        print(f"{config.name} has no open transaction")
    return 1 if kept else 0


def _wait_until_ended(admin: JavaAdmin, config: Config, names: set[str]) -> None:
    deadline = time.monotonic() + _ENDED_S
    while left := [one.name for one in admin.transactions(f"{config.name}-") if one.is_open and one.name in names]:
        if time.monotonic() > deadline:
            raise HeadwaterError(f"{left[0]} is still open after {_ENDED_S:g} s; look into the broker's log")
        time.sleep(_AGAIN_S)
