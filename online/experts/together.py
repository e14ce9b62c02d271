"""Togetherness: what stood near the newest items of the basket in everybody's baskets, before or after."""

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.experts.base import Column
from online.sparse import SparseRows, SparseScores
from state.tables import Tables


class Together:
    """Symmetric counts C[q, i] = C[i, q] of items d apart in one basket or session, each with weight 1 / d.

    The score is the sum over the basket's newest items q_1, q_2, ... of decay^(d-1) C[q_d, i] / sqrt(C[q_d, .] + 1). It
    knows what sequential rules cannot: what is taken in either order.

    Source: docs/quality.md, B2 (co-occurrence), with a steeper decay.
    """

    def __init__(self, window: int, decay: float, base: Scores) -> None:
        """Start empty; `window` items back, `decay` per item back."""
        self.name = "together"
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True),)
        self._decays = (decay ** np.arange(window)).astype(np.float32)
        self._amounts = (1.0 / np.arange(1, window + 1)).astype(np.float32)
        self._pairs = SparseRows(len(base))
        self._scores = SparseScores(0)

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        self._scores = self._pairs.scores(self._basket(batch), self._decays, batch)
        self._scores.select(batch, np.float32(0), item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`."""
        self._scores.mass_features(batch, item, n, out[0])

    def learn(self, batch: Batch) -> None:
        """See `Expert`; repeats count too."""
        basket = self._basket(batch)
        amounts = self._amounts[: basket.shape[1]]
        self._pairs.add(basket, batch.target, amounts)
        for p, amount in enumerate(amounts):
            pair = basket[:, p] >= 0
            self._pairs.add(batch.target[pair, None], basket[pair, p], np.array([amount]))

    def grow(self, base: Scores) -> None:
        """See `Expert`."""
        self._pairs.grow(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; pairs know no text."""

    def tables(self) -> Tables:
        """See `Expert`."""
        return self._pairs.tables("pairs")

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
        self._pairs.load(tables, "pairs")

    def _basket(self, batch: Batch) -> NDArray[np.int32]:
        """Return the newest items of each event's basket, newest first, -1 padded; shape (B, window)."""
        history = batch.history[:, : len(self._decays)]
        return np.where(np.arange(history.shape[1]) < batch.position[:, None], history, np.int32(-1))
