"""Frozen text: items whose text is near that of the user's newest items."""

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.experts.base import Column
from online.kernels import MASKED
from online.neighbours import Neighbours, dot_features, sum_neighbours
from online.sparse import SparseScores
from online.steps import mean_history
from state.tables import Tables


class FrozenText:
    """Nearest neighbours in the whitened text space; it learns nothing.

    An item's score is the weighted sum of its similarities to those of the user's newest items among whose nearest
    neighbours it is; without a history there is none. As features, every candidate counts by its product with the mean
    of these items, and with the newest of them. Source: docs/quality.md, D (frozen text kNN).
    """

    def __init__(self, window: int, decay: float, scale: float, neighbours: int, base: Scores) -> None:
        """Read the newest items.

        Args:
            window: items back.
            decay: weight per item back.
            scale: inverse temperature of the softmax.
            neighbours: of each item.
            base: text vectors, shape (N, d), float32.
        """
        self.name = "frozen_text"
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True), Column("text_newest", log_p=False))
        self._weights = (decay ** np.arange(window)).astype(np.float32)
        self._scale = np.float32(scale)
        self._neighbours = Neighbours(base, neighbours)
        self._queries: Scores = np.empty((0, 0), np.float32)
        self._newest = self._queries

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        base, history = self._neighbours.base, batch.history[:, : len(self._weights)]
        self._queries = np.empty((len(history), base.shape[1]), np.float32)
        mean_history(history, self._weights, base, self._queries, np.empty(len(history), np.float32))
        self._queries *= self._scale
        self._newest = np.where(history[:, :1] >= 0, self._scale * base[history[:, 0]], np.float32(0))
        near = SparseScores(len(history))
        near.ids, near.values = sum_neighbours(
            history, self._weights, *self._neighbours.of(history, batch.open), batch.seen, batch.seen_from, batch.open,
            near.start,
        )  # fmt: skip
        near.select(batch, MASKED, item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`; of every candidate, a neighbour or not."""
        dot_features(self._queries, self._neighbours.base, item, n, out[0])
        dot_features(self._newest, self._neighbours.base, item, n, out[1])

    def learn(self, batch: Batch) -> None:
        """See `Expert`; nothing is learned."""

    def grow(self, base: Scores) -> None:
        """See `Expert`."""
        self._neighbours.grow(base)

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`."""
        self._neighbours.move(row)

    def tables(self) -> Tables:
        """See `Expert`; the text vectors are the catalogue's, and neighbours follow from them."""
        return {}

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
