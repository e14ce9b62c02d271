"""Sequential rules: what followed the user's newest items in everybody's past."""

from typing import Any, NamedTuple

import numpy as np

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column, Kernels, register
from online.selection import Sums, choose, log_shares, new_sums
from online.sparse import Pool, SparseRows, add, sum_rows
from state.tables import Tables


class RulesState(NamedTuple):
    """Arrays of one batch; `decays` and `amounts`: weights per item back, of a score and of a count."""

    pool: Pool
    sums: Sums
    decays: Scores
    amounts: Scores


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
        self._sums = new_sums(len(base))

    def prepare(self, batch: Batch) -> RulesState:
        """See `Signal`."""
        pool = self._rules.prepare(batch.history[:, : len(self._amounts)])
        return RulesState(pool, self._sums, self._decays, self._amounts)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._rules.grow(len(base))
        self._sums = new_sums(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; rules know no text."""

    def tables(self) -> Tables:
        """See `Signal`."""
        return self._rules.tables("rules")

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._rules.load(tables, "rules")
        self._sums = new_sums(len(self._rules.size))


@compiled
def nominate(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`."""
    used = sum_rows(s.pool, event.history, s.decays, s.sums)
    return choose(s.sums, used, np.float32(0), event, top)  # type: ignore[no-any-return]


@compiled
def describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`."""
    log_shares(s.sums, item, out[0])


@compiled
def learn(s: Any, event: Any) -> None:
    """See `Kernels`; repeats count too."""
    for p in range(min(event.history.shape[0], s.amounts.shape[0])):
        if event.history[p] < 0:
            break
        add(s.pool, event.history[p], event.target, s.amounts[p])


register(RulesState, Kernels(1, nominate, describe, learn))
