"""Fresh items: text counts for more where few events speak of an item."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.base import Column, Kernels, register
from online.experts.text import FrozenText
from state.tables import Tables


class FreshState(NamedTuple):
    """Arrays of one batch; `counts`: events of each item, shape (N,); `products`: see `TextState`."""

    counts: NDArray[np.int64]
    products: Scores


class FreshText:
    """1 / (1 + n) of an item with n events, and times this the products of its text with the user's newest items.

    So the blend can weigh text by itself where an item is new: whatever is learned of items leaves those without
    events at the bottom.

    Attributes:
        text: whose products it reads.
    """

    def __init__(self, text: FrozenText, base: Scores) -> None:
        """Start empty; `text` stands before it in the line-up, and describes the same candidates first."""
        self.name = "fresh_text"
        self.columns: tuple[Column, ...] = (
            Column("fresh", False), Column("fresh_text", False), Column("fresh_newest", False)
        )  # fmt: skip
        self.text = text
        self._counts = np.zeros(len(base), np.int64)

    def prepare(self, batch: Batch) -> FreshState:
        """See `Signal`."""
        return FreshState(self._counts, self.text.products)

    def grow(self, base: Scores) -> None:
        """See `Signal`."""
        self._counts = np.append(self._counts, np.zeros(len(base) - len(self._counts), np.int64))

    def move(self, row: int, moved: Scores) -> None:
        """See `Signal`; the text is the catalogue's own."""

    def tables(self) -> Tables:
        """See `Signal`."""
        return {"counts": self._counts}

    def load(self, tables: Tables) -> None:
        """See `Signal`."""
        self._counts = np.array(tables["counts"], np.int64)


@compiled
def describe(s: Any, event: Any, item: Any, out: Any) -> None:
    """See `Kernels`."""
    for c in range(item.shape[0]):
        fresh = np.float32(1) / np.float32(1 + s.counts[item[c]])
        out[0, c] = fresh
        out[1, c] = fresh * s.products[0, c]
        out[2, c] = fresh * s.products[1, c]


@compiled
def learn(s: Any, event: Any) -> None:
    """See `Kernels`; repeats count too."""
    s.counts[event.target] += 1


register(FreshState, Kernels(3, None, describe, learn))
