"""Sequential rules: what followed the user's newest items in everybody's past."""

import numpy as np

from online.batch import Batch, Scores
from online.kernels import score_rows
from online.sparse import SparseRows
from state.tables import Tables


class SequentialRules:
    """Weighted counts T[q, i] of item i coming d items after item q, each with weight 1 / d.

    The score is the sum over the newest items q_1, q_2, ... of decay^(d-1) T[q_d, i] / sqrt(T[q_d, .] + 1).

    Source: Ludewig, Jannach 2018, "Evaluation of session-based recommendation algorithms" (SR); docs/quality.md, D1.
    """

    is_mass = True
    is_shared = False

    def __init__(self, window: int, decay: float, base: Scores) -> None:
        """Start empty; `window` items back, `decay` per item back."""
        self.name = "sequential_rules"
        self._decays = (decay ** np.arange(window)).astype(np.float32)
        self._amounts = (1.0 / np.arange(1, window + 1)).astype(np.float32)
        self._rules = SparseRows(len(base))

    def score(self, batch: Batch, out: Scores) -> None:
        """See `Expert`."""
        rules = self._rules
        score_rows(batch.history, self._decays, rules.start, rules.size, rules.ids, rules.weights, rules.totals, out)

    def learn(self, batch: Batch, scores: Scores) -> None:
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
