"""Popularity: what everybody consumes, lately or ever."""

import numpy as np

from online.batch import Batch, Scores
from state.tables import Tables

_RESCALE = 1e12  # the weight of a new event grows; beyond this the table is divided by it


class Popularity:
    """Count of events per item, where an event's weight halves every `half_life` later events.

    The newest event's weight grows and the table stays, so an event costs O(1). Source: docs/quality.md, D1.
    """

    is_mass = True
    is_shared = True

    def __init__(self, name: str, half_life: float, base: Scores) -> None:
        """Start empty; `half_life` in events, infinity = all time."""
        self.name = name
        self._growth = 2.0 ** (1.0 / half_life)
        self._counts = np.zeros(len(base))
        self._weight = np.ones(1)

    def score(self, batch: Batch, out: Scores) -> None:
        """See `Expert`."""
        out[:] = (self._counts / self._weight[0]).astype(np.float32)

    def learn(self, batch: Batch, scores: Scores) -> None:
        """See `Expert`; repeats count too."""
        for item in batch.target.tolist():
            self._counts[item] += self._weight[0]
            self._weight[0] *= self._growth
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
