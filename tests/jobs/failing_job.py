"""A Flink job with an operator that always fails, for tests: MODE FOLDER; its error goes to standard error."""

import sys
from pathlib import Path

from jobs.config import Config, Flink
from jobs.flink_engine import real_workers
from jobs.flink_env import open_flink, start
from state.errors import HeadwaterError


def refuse(number: int) -> int:
    """Pass on any number but 2."""
    if number == 2:
        raise ValueError("2 is bad")
    return number


def main(mode: str, folder: Path) -> int:
    """Run the job to its end; return 2 when it failed."""
    from pyflink.common import Types

    real_workers()
    flink = open_flink(Config(flink=Flink(checkpoint_interval_ms=1000)), mode, folder)
    flink.env.from_collection([1, 2, 3], Types.INT()).map(refuse, Types.INT()).print()
    try:
        start(flink, "failing").wait()
    except HeadwaterError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
