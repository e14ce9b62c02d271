"""`headwater compare`: is run B better than run A, event by event, or is the difference chance."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from jobs.replay import METRICS, REPORT
from online.evaluation.bootstrap import DRAWS, MIN_USERS
from online.evaluation.outcomes import OWN, collect
from online.evaluation.paired import MEASURES, Compared, compare
from online.evaluation.slices import SLICES
from online.report import json_lines
from state.errors import HeadwaterError

STATUS = {"better": 0, "worse": 1, "no difference seen": 3, "too few users": 3}
"""Verdict on B -> exit status; 2 is a user's mistake, as everywhere."""

_NAMES = {"hr@10": "HR@10", "ndcg@10": "NDCG@10", "log_loss": "log-loss"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("a", type=Path, metavar="A", help="output folder of a replay: the run to compare with")
    parser.add_argument("b", type=Path, metavar="B", help="output folder of a replay of the same log: the change")
    parser.add_argument("--measure", choices=MEASURES, default=MEASURES[0], help="which decides (%(default)s)")
    parser.add_argument("--slice", choices=tuple(SLICES), default="all", help="which decides (%(default)s)")
    parser.add_argument("--model", default=OWN, metavar="M", help="a model of the metrics lines (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.epilog = (
        "Both runs must hold the same events, scored alike. Differences are paired by event, their 95 %% intervals "
        f"come from {DRAWS:,} draws of whole users. Status: 0 B is better, 1 B is worse, 3 no difference is seen, "
        "2 a mistake."
    )


def main(args: argparse.Namespace) -> int:
    """Run the command; the status is that of STATUS."""
    if args.measure == "log_loss" and args.model != OWN:
        raise HeadwaterError(f"--measure log_loss is of {OWN} alone, --model is {args.model!r}; leave one of them out")
    a, b = (collect(json_lines([_metrics(folder)])) for folder in (args.a, args.b))
    found = compare(a, b, args.model)
    verdict = found[args.slice].verdict(args.measure)
    changed = list(_changed(_config(args.a), _config(args.b)))
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(_as_dict(args, found, verdict, changed)), indent=1).decode())
    else:
        print(_told(args, found, verdict, changed))
    return STATUS[verdict]


def _metrics(folder: Path) -> Path:
    file = folder / METRICS
    if not file.is_file():
        raise HeadwaterError(
            f"{folder} has no {METRICS}; expected the output folder of headwater replay; name the folder given as --out"
        )
    return file


def _config(folder: Path) -> Mapping[str, Any]:
    """Return the settings of a run, as its report tells them; none of a report that is not there."""
    if not (folder / REPORT).is_file():
        return {}
    report = msgspec.json.decode((folder / REPORT).read_bytes(), type=dict[str, Any])
    config: Mapping[str, Any] = report.get("config", {})
    return config


def _changed(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """Yield what is set otherwise in B, as `learning.batch: 64 -> 32`."""
    for key in sorted(a.keys() | b.keys()):
        one, two = a.get(key), b.get(key)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            yield from _changed(one, two, f"{prefix}{key}.")
        elif one != two:
            yield f"{prefix}{key}: {one} -> {two}"


def _told(args: argparse.Namespace, found: Mapping[str, Compared], verdict: str, changed: list[str]) -> str:
    whole = found["all"]
    measures = list(found[args.slice].difference)
    return "\n".join(
        [
            f"A {args.a}",
            f"B {args.b}",
            f"{args.model}, {whole.n:,} scored events of {whole.users:,} users, the same in both",
            *(f"set otherwise: {line}" for line in changed),
            "",
            *_table(f"slice {args.slice}", {_NAMES[m]: (found[args.slice], m) for m in measures}),
            "",
            *_table(_NAMES[args.measure], {name: (found[name], args.measure) for name in SLICES}),
            "",
            f"{_NAMES[args.measure]} of {args.slice}: {_sentence(verdict)}",
        ]
    )


def _table(title: str, rows: Mapping[str, tuple[Compared, str]]) -> list[str]:
    lines = [f"  {title:<24}  {'events':>9}  {'A':>7}  {'B':>7}  {'B - A':>8}  {'95 % interval':<19}  B is"]
    for name, (one, measure) in rows.items():
        mean, low, high = one.difference[measure]
        interval = "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
        lines.append(
            f"  {name:<24}  {one.n:>9,}  {one.a[measure]:>7.4f}  {one.b[measure]:>7.4f}  {mean:>+8.4f}  "
            f"{interval:<19}  {one.verdict(measure)}"
        )
    return lines


def _sentence(verdict: str) -> str:
    return {
        "better": "B is better than A",
        "worse": "B is worse than A",
        "no difference seen": "no difference seen; the interval holds zero",
        "too few users": f"cannot be told from fewer than {MIN_USERS} users",
    }[verdict]


def _as_dict(
    args: argparse.Namespace, found: Mapping[str, Compared], verdict: str, changed: list[str]
) -> dict[str, Any]:
    return {
        "a": str(args.a),
        "b": str(args.b),
        "model": args.model,
        "measure": args.measure,
        "slice": args.slice,
        "verdict": verdict,
        "changed": changed,
        "slices": {
            name: {
                "n": one.n,
                "users": one.users,
                **{
                    measure: {
                        "a": one.a[measure],
                        "b": one.b[measure],
                        "difference": one.difference[measure].as_dict(),
                        "verdict": one.verdict(measure),
                    }
                    for measure in one.difference
                },
            }
            for name, one in found.items()
        },
    }
