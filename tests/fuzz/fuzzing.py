"""Runs mutated bytes through all targets; nothing raises, nothing takes a second, nothing grows."""

import resource
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS

LIMIT_S = 1.0  # CPU time of one reading
GROWTH = 2.0  # of the memory at the tenth of the run


class Fuzzed(NamedTuple):
    """What a run showed."""

    told: dict[str, Counter[str]]  # target -> how its readings ended
    slowest_s: float
    growth: float  # memory at the end by that at a tenth


class Found(Exception):  # what a fuzzer looks for
    """A reading that went wrong, with the bytes that did it."""


def fuzz(records: int, seed: int) -> Fuzzed:
    """Read so many mutated records; equal seeds give equal records.

    Raises:
        Found: something was raised, took too long, or grew.
    """
    random = Random(f"fuzz {seed}")
    told: dict[str, Counter[str]] = {name: Counter() for name in TARGETS}
    turns = [name for name, (_, _, often) in TARGETS.items() for _ in range(often)]
    slowest_s, early = 0.0, _memory()
    for number in range(records):
        name = random.choice(turns)
        read, seeds, _ = TARGETS[name]
        value = mutate(random, seeds)
        begun = time.process_time()
        try:
            told[name][read(value, random)] += 1
        except Exception as error:
            raise Found(f"record {number} of seed {seed}: {name} {value[:200]!r}: {error!r}") from error
        took_s = time.process_time() - begun
        slowest_s = max(slowest_s, took_s)
        if took_s > LIMIT_S:
            raise Found(f"record {number} of seed {seed}: {name} takes {took_s:.1f} s: {value[:200]!r}")
        if number == records // 10:
            early = _memory()
    growth = _memory() / early
    if growth > GROWTH:
        raise Found(f"memory grew to {growth:.1f} of what it was after a tenth of {records:,} records")
    return Fuzzed(told, slowest_s, growth)


def _memory() -> int:
    """Return this process's resident memory; where a system does not tell (only Linux does), its peak."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
