"""Counts the events on items that the catalogue lacks: a few are new items, most of a log is a wrong column."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from jobs.logs import read_canonical


class Unknown(NamedTuple):
    """What a log names that a catalogue lacks."""

    items: int  # distinct
    events: int  # that name them, duplicates among them
    of_events: int  # all that name an item
    example: str  # the first one; "" when there is none

    @property
    def most(self) -> bool:
        """Whether more than half of the events are on such items."""
        return 2 * self.events > self.of_events

    def warning(self, known: str, advice: str) -> str:
        """Return what to tell when these are most: an item of either side shows at once how they differ."""
        return (
            f"warning: {self.events:,} of {self.of_events:,} events name items that the catalogue lacks, such as "
            f"{self.example!r}; it has items such as {known!r}; {advice}"
        )


class _Body(msgspec.Struct, gc=False):
    """Of an event's JSON its item."""

    item: str


_DECODE = msgspec.json.Decoder(_Body).decode


def count_unknown(log: Path, known: Iterable[str]) -> Unknown:
    """Return what the good records of a canonical log name that is not among `known`; all ids of one kind are held."""
    catalogue = set(known)
    unknown: dict[str, None] = {}  # a set that knows its first
    events = of_events = 0
    for record in read_canonical(log):
        if record.flag or record.value is None:
            continue
        of_events += 1
        item = _DECODE(record.value).item
        if item not in catalogue:
            events += 1
            unknown[item] = None
    return Unknown(len(unknown), events, of_events, next(iter(unknown), ""))
