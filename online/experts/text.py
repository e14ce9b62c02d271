"""Frozen text: items whose text is near that of the user's newest items."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column, Kernels, register
from online.kernels import MASKED
from online.neighbours import Neighbours, sum_neighbours
from online.selection import Sums, choose, new_sums
from online.steps import mean_row
from state.tables import Tables


class TextState(NamedTuple):
    """Arrays of one batch.

    Attributes:
        base: text vectors, shape (N, d).
        weights: per item back; shape (window,).
        scale: inverse temperature.
        neighbours, similar: see `Neighbours.of`.
        is_new: scratch, shape (N,), bool, True.
        products: of each candidate's text with the mean of the newest items, and with the newest; shape (2, N).
    """

    base: Scores
    weights: Scores
    scale: np.float32
    neighbours: NDArray[np.int32]
    similar: Scores
    is_new: NDArray[np.bool_]
    sums: Sums
    products: Scores


class FrozenText:
    """Nearest neighbours in the whitened text space; it learns nothing.

    An item's score is the weighted sum of its similarities to those of the user's newest items among whose nearest
    neighbours it is; without a history there is none. As features, every candidate counts by its product with the mean
    of these items, and with the newest of them. Source: docs/quality.md, D (frozen text kNN).

    Attributes:
        products: see `TextState`; of the event described last.
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
        self._make_scratch(len(base))

    def prepare(self, batch: Batch) -> TextState:
        """See `Signal`."""
        near = self._neighbours.of(batch.history[:, : len(self._weights)], batch.open)
        return TextState(
            self._neighbours.base, self._weights, self._scale, *near, self._is_new, self._sums, self.products
        )

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._neighbours.grow(base)
        self._make_scratch(len(base))

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`."""
        self._neighbours.move(row)

    def tables(self) -> Tables:
        """See `Signal`; the text vectors are the catalogue's, and neighbours follow from them."""
        return {}

    def load(self, tables: Tables) -> None:
        """See `Signal`."""

    def _make_scratch(self, items: int) -> None:
        self._is_new = np.ones(items, np.bool_)
        self._sums = new_sums(items)
        self.products: Scores = np.zeros((2, items), np.float32)


@compiled
def nominate(s: Any, event: Any, top: Any) -> int:
    """See `Kernels`."""
    used = sum_neighbours(event.history, s.weights, s.neighbours, s.similar, s.is_new, s.sums)
    return choose(s.sums, used, MASKED, event, top)  # type: ignore[no-any-return]


@compiled
def describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`; of every candidate, a neighbour or not, less the best one."""
    n, d = item.shape[0], s.base.shape[1]
    queries = np.empty((d, 2), np.float32)
    queries[:, 0] = mean_row(event.history, s.weights, s.base)
    queries[:, 1] = mean_row(event.history, s.weights[:1], s.base)
    rows = np.empty((n, d), np.float32)
    for c in range(n):
        rows[c] = s.base[item[c]]
    products = np.dot(rows, queries)
    for which in range(2):
        best = MASKED
        for c in range(n):
            product = s.scale * products[c, which]
            s.products[which, c] = product
            best = max(best, product)
        for c in range(n):
            out[which, c] = s.products[which, c] - best


register(TextState, Kernels(2, nominate, describe, None))
