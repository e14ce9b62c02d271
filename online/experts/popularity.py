"""Popularity: what everybody consumes, lately or ever."""

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.decayed import DecayedCounts
from online.experts.base import Column
from online.selection import open_masses, select_shared, shared_mass_features
from state.tables import Tables


class Popularity:
    """Count of events per item, where an event's weight halves every `half_life` later events.

    Source: docs/quality.md, D1.
    """

    def __init__(self, name: str, half_life: float, base: Scores) -> None:
        """Start empty; `half_life` in events, infinity = all time."""
        self.name = name
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True),)
        self._events = DecayedCounts(len(base), half_life)
        self._row: Scores = np.empty(0, np.float32)  # of the batch at hand

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        self._row = open_masses(self._events.counts, 1 / self._events.weight[0], batch.open)
        select_shared(self._row, batch.seen, batch.seen_from, batch.target, batch.scored, item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`."""
        shared_mass_features(self._row, item, n, out[0])

    def learn(self, batch: Batch) -> None:
        """See `Expert`; repeats count too."""
        self._events.add(batch.target)

    def grow(self, base: Scores) -> None:
        """See `Expert`."""
        self._events.grow(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; popularity knows no text."""

    def tables(self) -> Tables:
        """See `Expert`."""
        return self._events.tables()

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
        self._events.load(tables)
