"""The safety floor: while the blend is worse than decayed popularity, popularity is what is served."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.compiled import compiled
from online.experts.base import Signal
from online.experts.popularity import Popularity
from online.prequential import BLEND
from state.tables import Tables

WINDOW = 10_000  # scored events over which the blend and popularity are compared
_BLEND = "blend"
_PLACES = 10  # that NDCG looks at
_GAINS = np.round(1e6 / np.log2(1 + np.arange(1, _PLACES + 1))).astype(np.int64)  # whole numbers: their sums are exact


class SafetyFloor:
    """NDCG@10 of the blend and of decayed popularity, of each half-life, over the newest WINDOW scored events.

    The blend is served while no popularity has more. So whenever it is served, its own newest WINDOW events, or all
    there are, are not below popularity's. All are measured at every event, served or not; who is served changes only
    between mini-batches.
    """

    def __init__(self, experts: Sequence[Signal]) -> None:
        """Start with no event; `experts` in the order of their ranks and features."""
        self._names, self._rows, self._features = [_BLEND], [0], [BLEND]
        for place, expert in enumerate(experts):
            if isinstance(expert, Popularity) and expert.half_life < math.inf:
                self._names.append(expert.name)
                self._rows.append(2 + place)
                self._features.append(sum(len(other.columns) for other in experts[:place]))
        self._gains = np.zeros((WINDOW, len(self._names)), np.int32)  # a ring
        self._sums = np.zeros(len(self._names), np.int64)
        self._seen = np.zeros(1, np.int64)  # scored events so far

    @property
    def served(self) -> str:
        """Return the name of who is served."""
        return self._names[self._leader]

    @property
    def feature(self) -> int:
        """Return the feature that candidates are served by, BLEND for the blend."""
        return self._features[self._leader]

    @property
    def ndcg(self) -> dict[str, float]:
        """Return name -> NDCG@10 over the newest WINDOW scored events."""
        n = max(1, min(len(self._gains), int(self._seen[0])))
        return {name: round(total / n / 1e6, 5) for name, total in zip(self._names, self._sums.tolist(), strict=True)}

    def watch(self, ranks: NDArray[np.int32]) -> None:
        """Take note of a batch: `Predicted.ranks`."""
        _watch(ranks[self._rows], _GAINS, self._gains, self._sums, self._seen)

    def tables(self) -> Tables:
        """Return all of it; views, not copies."""
        return {"gains": self._gains, "sums": self._sums, "seen": self._seen}

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        self._gains = np.array(tables["gains"], np.int32)
        self._sums = np.array(tables["sums"], np.int64)
        self._seen = np.array(tables["seen"], np.int64)

    @property
    def _leader(self) -> int:
        return int(self._sums.argmax())  # of equal sums the first: the blend, if it is among them


@compiled
def _watch(ranks: Any, by_place: Any, gains: Any, sums: Any, seen: Any) -> None:
    """Put the gains of events into the ring, and take those that leave it from the sums.

    Args:
        ranks: of the blend and of those it is compared with, shape (n, B), 0 where not scored.
        by_place: gain of each rank from 1 on.
        gains, sums, seen: see `SafetyFloor`; changed.
    """
    for e in range(ranks.shape[1]):
        if ranks[0, e] == 0:
            continue
        row = gains[seen[0] % gains.shape[0]]
        for x in range(ranks.shape[0]):
            gain = by_place[ranks[x, e] - 1] if 0 < ranks[x, e] <= by_place.shape[0] else 0
            sums[x] += gain - row[x]
            row[x] = gain
        seen[0] += 1
