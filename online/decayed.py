"""Counts that fade: an event's weight halves every so many later events."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.compiled import compiled
from state.tables import Tables

_RESCALE = 1e12  # the weight of a new event grows; beyond this the counts are divided by it


class DecayedCounts:
    """Events per item, each weighing 2 ** (-age / half-life), with its age in events.

    The newest event's weight grows and the counts stay, so an event costs O(1).

    Attributes:
        growth: of the weight, from event to event.
        counts: shape (N,), float64, times `weight`.
        weight: of the next event; shape (1,), float64.
    """

    def __init__(self, items: int, half_life: float) -> None:
        """Start empty; `half_life` in events, infinity = all time."""
        self.growth = 2.0 ** (1.0 / half_life)
        self.counts: NDArray[np.float64] = np.zeros(items)
        self.weight: NDArray[np.float64] = np.ones(1)

    def rescale(self) -> bool:
        """Divide all by the weight if it is large, and tell so: to be called between batches."""
        if self.weight[0] <= _RESCALE:
            return False
        self.counts /= self.weight[0]
        self.weight[0] = 1.0
        return True

    def grow(self, items: int) -> None:
        """Add items without events until there are `items`."""
        self.counts = np.append(self.counts, np.zeros(items - len(self.counts)))

    def tables(self) -> Tables:
        """Return all of it; views, not copies."""
        return {"counts": self.counts, "weight": self.weight}

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        self.counts = np.array(tables["counts"], np.float64)
        self.weight = np.array(tables["weight"], np.float64)


@compiled
def add_growing(items: Any, growth: float, counts: Any, weight: Any) -> None:
    """Count each item, shape (B,), with a weight, shape (1,), that is multiplied by `growth` after each."""
    for item in items:
        counts[item] += weight[0]
        weight[0] *= growth
