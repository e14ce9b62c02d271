"""Sequential rules: what followed the user's newest items in everybody's past."""

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.experts.base import Column
from online.sparse import SparseRows, SparseScores
from state.tables import Tables


class SequentialRules:
    """Weighted counts T[q, i] of item i coming d items after item q, each with weight 1 / d.

    The score is the sum over the newest items q_1, q_2, ... of decay^(d-1) T[q_d, i] / sqrt(T[q_d, .] + 1).

    Source: Ludewig, Jannach 2018, "Evaluation of session-based recommendation algorithms" (SR); docs/quality.md, D1.
    """

    def __init__(self, window: int, decay: float, base: Scores) -> None:
        """Start empty; `window` items back, `decay` per item back."""
        self.name = "sequential_rules"
        self.columns: tuple[Column, ...] = (Column(self.name, log_p=True),)
        self._decays = (decay ** np.arange(window)).astype(np.float32)
        self._amounts = (1.0 / np.arange(1, window + 1)).astype(np.float32)
        self._rules = SparseRows(len(base))
        self._scores = SparseScores(0)

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert`."""
        self._scores = self._rules.scores(batch.history, self._decays, batch)
        self._scores.select(batch, np.float32(0), item, rank)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert`."""
        self._scores.mass_features(batch, item, n, out[0])

    def learn(self, batch: Batch) -> None:
        """See `Expert`; repeats count too."""
        self._rules.add(batch.history[:, : len(self._decays)], batch.target, self._amounts)

    def grow(self, base: Scores) -> None:
        """See `Expert`."""
        self._rules.grow(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Expert`; rules know no text."""

    def tables(self) -> Tables:
        """See `Expert`."""
        return self._rules.tables("rules")

    def load(self, tables: Tables) -> None:
        """See `Expert`."""
        self._rules.load(tables, "rules")
