"""`headwater simulate`: a made-up log in files, with the quality that nobody can exceed; or events to live topics."""

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from jobs import simulate_topics
from online.evaluation.slices import HEADLINES
from online.simulation import Simulated, simulate
from state.errors import HeadwaterError

EVENTS, ITEMS, JOB, OPTIMUM = "events.csv", "items.csv", "job.toml", "optimum.json"
_LEAST = {"events": 1000, "items": 50, "users": 1, "seed": 0}

_JOB = """name = "simulated"

[events]
path = "events.csv"
time_unit = "s"

[items]
path = "items.csv"

[lists]
candidates = "all"
tick = "1h"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    files = parser.add_argument_group("to files")
    files.add_argument("--out", type=Path, metavar="DIR", help="folder for the log; must hold none yet")
    files.add_argument("--events", type=int, default=60_000, metavar="N", help="events (%(default)s)")
    files.add_argument("--items", type=int, default=1000, metavar="N", help="items (%(default)s)")
    files.add_argument("--users", type=int, default=2000, metavar="N", help="users (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the generator (%(default)s)")
    simulate_topics.add_arguments(parser)
    parser.epilog = (
        f"{OPTIMUM} in DIR tells the HR@10 of a list of the ten likeliest items, which follow from what a learner "
        "sees: the user's past and the time. Replay the log and compare: headwater replay --config DIR/job.toml. "
        "On topics it goes on until the log ends, --limit is reached or Ctrl-C."
    )


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    if (args.out is None) == (args.config is None):
        raise HeadwaterError(
            "expected either --out DIR for a made-up log in files, or --config job.toml to send events to its topics"
        )
    return simulate_topics.run(args) if args.out is None else _write_log(args)


def _write_log(args: argparse.Namespace) -> int:
    for name, least in _LEAST.items():
        if getattr(args, name) < least:
            raise HeadwaterError(f"--{name} is {getattr(args, name)}; expected at least {least}")
    if (args.out / EVENTS).exists():
        raise HeadwaterError(f"{args.out / EVENTS} is there already; expected a folder without a log; name another one")
    made = simulate(args.events, args.items, args.users, args.seed)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        write(made, args.out)
    except OSError as error:
        raise HeadwaterError(
            f"cannot write to {args.out}: {error.strerror}; expected a folder that can be written to; name another one"
        ) from None
    best = ", ".join(f"{name} {value:.4f}" for name, value in optimum(made).items())
    print(f"{args.events:,} events of {args.users:,} users over {args.items:,} items in {args.out}")
    print(f"best possible HR@10: {best}")
    print(f"now: headwater replay --config {args.out / JOB}")
    return 0


def write(made: Simulated, folder: Path) -> None:
    """Write the log's files."""
    items = (
        (f"i{number}", title, at or "")
        for number, (title, at) in enumerate(zip(made.titles, made.available_s.tolist(), strict=True))
    )
    _write(folder / ITEMS, ("item", "title", "available_at"), items)
    events = zip(made.user.tolist(), made.item.tolist(), made.at_s.tolist(), strict=True)
    _write(folder / EVENTS, ("user", "item", "ts"), ((f"u{user}", f"i{item}", at) for user, item, at in events))
    (folder / JOB).write_text(_JOB, encoding="utf-8")
    text = json.dumps({"hr@10": optimum(made)}, indent=1)
    (folder / OPTIMUM).write_text(text + "\n", encoding="utf-8")


def optimum(made: Simulated) -> dict[str, float]:
    """Return slice -> the best possible HR@10, of the slices that depend on nothing but an event's place."""
    n = len(made.best_hit)
    parts = {"all": made.best_hit, "last_80": made.best_hit[n // 5 :]}
    return {name: round(float(part.mean()), 5) for name, part in parts.items() if name in HEADLINES}


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
