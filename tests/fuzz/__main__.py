"""`python -m tests.fuzz`: mutated bytes through everything that reads bytes."""

import argparse
import sys

from tests.fuzz.fuzzing import Found, fuzz


def main() -> int:
    """Run; return 1 when something was found, and say which bytes did it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the mutations (%(default)s)")
    args = parser.parse_args()
    try:
        done = fuzz(args.records, args.seed)
    except Found as found:
        print(found)
        return 1
    for name, counts in done.told.items():
        print(f"{name}: " + ", ".join(f"{count:,} {told}" for told, count in counts.most_common()))
    print(f"{args.records:,} records, slowest {done.slowest_s * 1000:.0f} ms, memory x {done.growth:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
