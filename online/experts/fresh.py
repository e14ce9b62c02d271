"""Fresh items: text counts for more where few events speak of an item."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column
from online.steps import mean_history
from state.tables import Tables


class FreshText:
    """1 / (1 + n) of an item with n events, and times this the products of its text with the user's newest items.

    So the blend can weigh text by itself where an item is new: whatever is learned of items leaves those without
    events at the bottom. The products are with the mean of the newest items, and with the newest.
    """

    def __init__(self, window: int, decay: float, scale: float, base: Scores) -> None:
        """Read the newest `window` items, `decay` per item back; `scale` multiplies the products."""
        self.name = "fresh_text"
        self.columns: tuple[Column, ...] = (
            Column("fresh", False), Column("fresh_text", False), Column("fresh_newest", False)
        )  # fmt: skip
        self._weights = (decay ** np.arange(window)).astype(np.float32)
        self._scale = np.float32(scale)
        self._base = base
        self._counts = np.zeros(len(base), np.int64)

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Signal`."""
        queries = np.empty((2, len(item), self._base.shape[1]), np.float32)
        norms = np.empty(len(item), np.float32)
        for query, weights in zip(queries, (self._weights, self._weights[:1]), strict=True):
            mean_history(batch.history[:, : len(weights)], weights, self._base, query, norms)
        queries *= self._scale
        fresh_products(queries, self._base, self._counts, item, n, out)

    def learn(self, batch: Batch) -> None:
        """See `Signal`; repeats count too."""
        np.add.at(self._counts, batch.target, 1)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._counts = np.append(self._counts, np.zeros(len(base) - len(self._counts), np.int64))
        self._base = base

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; the text is the catalogue's own."""

    def tables(self) -> Tables:
        """See `Signal`."""
        return {"counts": self._counts}

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._counts = np.array(tables["counts"], np.int64)


@compiled
def fresh_products(queries: Any, base: Any, counts: Any, item: Any, n: Any, out: Any) -> None:
    """Write 1 / (1 + events) of candidates, and times this their products with both queries.

    Args:
        queries: shape (2, B, d); base: shape (N, d), float32; counts: shape (N,).
        item, n: candidates, shape (B, C) and (B,).
        out: shape (3, B, C), float32.
    """
    for e in range(item.shape[0]):
        for c in range(n[e]):
            j = item[e, c]
            fresh = np.float32(1) / np.float32(1 + counts[j])
            out[0, e, c] = fresh
            for which in range(2):
                product = np.float32(0)
                for f in range(base.shape[1]):
                    product += queries[which, e, f] * base[j, f]
                out[1 + which, e, c] = fresh * product
