"""Togetherness: what stood near the newest items of the basket in everybody's baskets, before or after."""

from typing import Any, NamedTuple

import numpy as np

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column, Kernels, register
from online.selection import Sums, choose, log_shares, new_sums
from online.sparse import Pool, SparseRows, add, sum_rows
from state.tables import Tables


class TogetherState(NamedTuple):
    """Arrays of one batch; `decays` and `amounts`: weights per item back, of a score and of a count."""

    pool: Pool
    sums: Sums
    decays: Scores
    amounts: Scores


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
        self._sums = new_sums(len(base))

    def prepare(self, batch: Batch) -> TogetherState:
        """See `Signal`."""
        history = batch.history[:, : len(self._amounts)]
        both = np.concatenate([history, np.broadcast_to(batch.target[:, None], history.shape)])
        pool = self._pairs.prepare(both)
        return TogetherState(pool, self._sums, self._decays, self._amounts)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._pairs.grow(len(base))
        self._sums = new_sums(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; pairs know no text."""

    def tables(self) -> Tables:
        """See `Signal`."""
        return self._pairs.tables("pairs")

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._pairs.load(tables, "pairs")
        self._sums = new_sums(len(self._pairs.size))


@compiled
def _basket(event: Any) -> Any:
    """Return the newest items of the event's basket, newest first."""
    return event.history[: event.position]


@compiled
def nominate(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`."""
    used = sum_rows(s.pool, _basket(event), s.decays, s.sums)
    return choose(s.sums, used, np.float32(0), event, top)  # type: ignore[no-any-return]


@compiled
def describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`."""
    log_shares(s.sums, item, out[0])


@compiled
def learn(s: Any, event: Any) -> None:
    """See `Kernels`; repeats count too."""
    basket = _basket(event)
    for p in range(min(basket.shape[0], s.amounts.shape[0])):
        if basket[p] < 0:
            break
        add(s.pool, basket[p], event.target, s.amounts[p])
        add(s.pool, event.target, basket[p], s.amounts[p])


register(TogetherState, Kernels(1, nominate, describe, learn))
