"""`python -m tests.simulation`: many seeded lives of the job; a seed that fails says how to see it again."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy: products round by the number of threads
    os.environ.setdefault(_name, "1")

from tests.simulation.schedule import live  # noqa: E402  # after the variables above
from tests.simulation.world import write_catalogue  # noqa: E402

_MOST_TOLD = 5  # failing seeds


def main() -> int:
    """Run the seeds; return 1 if any life was not right."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (0)")
    parser.add_argument("--seed", type=int, metavar="N", help="only this one, and tell what happens")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = write_catalogue(Path(folder))
        if args.seed is not None:
            life = live(args.seed, vectors)
            print(*life.told, life.verdict, sep="\n")
            return 0 if life.verdict else 1
        return _many(range(args.first, args.first + args.seeds), vectors)


def _many(seeds: range, vectors: Path) -> int:
    start = time.process_time()
    crashes = checkpoints = failed = 0
    for seed in seeds:
        life = live(seed, vectors)
        crashes += life.crashes
        checkpoints += life.checkpoints
        if not life.verdict:
            failed += 1
            print(f"seed {seed}:\n{life.verdict}\nto see it again: python -m tests.simulation --seed {seed}")
            if failed == _MOST_TOLD:
                break
    took_s = time.process_time() - start
    print(
        f"{len(seeds):,} seeds, {crashes:,} crashes, {checkpoints:,} checkpoints, {failed} failed, "
        f"{took_s:.0f} s of CPU"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
