"""`headwater doctor`: says what is wrong with this machine, a configuration, a broker or the jars, and what to do."""

import argparse
from collections import Counter
from pathlib import Path

from jobs.checks import Finding, Findings
from jobs.config import load_config
from state.errors import HeadwaterError


def examine(config_file: Path | None = None) -> Findings:
    """Yield what every check finds; with a configuration also those of the job."""
    from jobs.machine_checks import MACHINE_CHECKS

    for check in MACHINE_CHECKS:
        yield from _guarded(check.__name__.removeprefix("check_"), check())
    if config_file is None:
        return
    from jobs.job_checks import JOB_CHECKS

    try:
        config = load_config(config_file)
    except HeadwaterError as error:
        yield _from_error("configuration", error)
        return
    yield Finding("ok", "configuration", f"{config_file}, job {config.name}")
    for job_check in JOB_CHECKS:
        yield from _guarded(job_check.__name__.removeprefix("check_"), job_check(config))


def _guarded(name: str, findings: Findings) -> Findings:
    """Pass findings on; an error that a user can mend and that ends a check is its last finding."""
    try:
        yield from findings
    except HeadwaterError as error:
        yield _from_error(name, error)
    except OSError as error:  # the machine itself is ill: a check goes on to the next
        yield Finding("fail", name, str(error), "mend that")


def _from_error(name: str, error: HeadwaterError) -> Finding:
    """An error's last part is what to do."""
    seen, _, remedy = str(error).rpartition("; ")
    return Finding("fail", name, seen or remedy, remedy if seen else "mend that")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `headwater doctor`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="a job.toml: check that job too")


def main(args: argparse.Namespace) -> int:
    """Print a line per finding and the sum; return 1 when a check failed."""
    counts: Counter[str] = Counter()
    for finding in examine(args.config):
        counts[finding.state] += 1
        print(finding, flush=True)
    print(f"{counts.total()} checks: {counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail")
    return 1 if counts["fail"] else 0
