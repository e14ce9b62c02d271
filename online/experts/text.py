"""Frozen text: items whose text is near the mean text of the user's newest items."""

import numpy as np

from online.batch import Batch, Scores
from online.kernels import mean_history
from state.tables import Tables


class FrozenText:
    """Nearest neighbours in the whitened text space; it learns nothing. Source: docs/quality.md, D."""

    is_mass = False
    is_shared = False

    def __init__(self, window: int, decay: float, scale: float, base: Scores) -> None:
        """Read `window` items back with weight `decay` per item; `scale` is the inverse temperature of the softmax."""
        self.name = "frozen_text"
        self._weights = (decay ** np.arange(window)).astype(np.float32)
        self._scale = np.float32(scale)
        self._base = base

    def score(self, batch: Batch, out: Scores) -> None:
        """See `Expert`."""
        queries = np.empty((len(batch.target), self._base.shape[1]), np.float32)
        norms = np.empty(len(queries), np.float32)
        mean_history(batch.history[:, : len(self._weights)], self._weights, self._base, queries, norms)
        np.matmul(queries * self._scale, self._base.T, out=out)

    def learn(self, batch: Batch, scores: Scores) -> None:
        """See `Expert`; nothing is learned."""

    def grow(self, base: Scores) -> None:
        """See `Expert`."""
        self._base = base

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; the catalogue's vectors, which this expert reads, have moved already."""

    def tables(self) -> Tables:
        """See `Expert`; the text vectors are the catalogue's."""
        return {}

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
