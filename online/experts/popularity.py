"""Popularity: what everybody consumes, lately or ever."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.selection import open_masses, select_shared, shared_mass_features
from state.tables import Tables

_RESCALE = 1e12  # the weight of a new event grows; beyond this the table is divided by it


class Popularity:
    """Count of events per item, where an event's weight halves every `half_life` later events.

    The newest event's weight grows and the table stays, so an event costs O(1). Source: docs/quality.md, D1.
    """

    def __init__(self, name: str, half_life: float, base: Scores) -> None:
        """Start empty; `half_life` in events, infinity = all time."""
        self.name = name
        self.has_long_kernels = False
        self._growth = 2.0 ** (1.0 / half_life)
        self._counts = np.zeros(len(base))
        self._weight = np.ones(1)
        self._row: Scores = np.empty(0, np.float32)  # of the batch at hand

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        self._row = open_masses(self._counts, 1 / self._weight[0], batch.open)
        select_shared(self._row, batch.seen, batch.seen_from, batch.target, batch.scored, item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`."""
        shared_mass_features(self._row, item, n, out)

    def learn(self, batch: Batch) -> None:
        """See `Expert`; repeats count too."""
        _add_growing(batch.target, self._growth, self._counts, self._weight)
        if self._weight[0] > _RESCALE:
            self._counts /= self._weight[0]
            self._weight[0] = 1.0

    def grow(self, base: Scores) -> None:
        """See `Expert`."""
        self._counts = np.append(self._counts, np.zeros(len(base) - len(self._counts)))

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; popularity knows no text."""

    def tables(self) -> Tables:
        """See `Expert`."""
        return {"counts": self._counts, "weight": self._weight}

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
        self._counts = np.asarray(tables["counts"], np.float64)
        self._weight = np.asarray(tables["weight"], np.float64)


@compiled
def _add_growing(targets: Any, growth: float, counts: Any, weight: Any) -> None:
    """Count each target, shape (B,), with a weight, shape (1,), that is multiplied by `growth` after each."""
    for item in targets:
        counts[item] += weight[0]
        weight[0] *= growth
