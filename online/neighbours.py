"""Each item's nearest neighbours by frozen text, found when first asked for and kept until the catalogue changes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled
from online.kernels import MASKED, top_items
from online.selection import clear

_BLOCK = 4096  # items whose similarities are summed at once, so that they stay in the fastest cache
_FORGET_ALL = 256  # changed items from which on all lists are forgotten, which is cheaper than to look for them


class Neighbours:
    """The exact `count` nearest open items of each item, by the product of their text vectors.

    A list follows from the vectors and from which items are open, and from nothing else: not from when it was asked
    for. So nothing of it is stored with the state.

    Attributes:
        base: text vectors, shape (N, d), float32; the catalogue's own array.
    """

    def __init__(self, base: Scores, count: int) -> None:
        self.base = base
        self._count = count
        self._columns = np.ascontiguousarray(base.T)
        self._items = np.full((len(base), count), -1, np.int32)
        self._similar = np.zeros((len(base), count), np.float32)
        self._known = np.zeros(len(base), np.bool_)
        self._open = np.zeros(len(base), np.uint8)

    def of(self, rows: NDArray[np.int32], open_: NDArray[np.uint8]) -> tuple[NDArray[np.int32], Scores]:
        """Return neighbours and similarities of all items, -1 beyond the last, of which those of `rows` are known.

        Args:
            rows: items, -1 padded, of any shape.
            open_: 1 where an item may be shown; shape (N,).
        """
        if not np.array_equal(open_, self._open):
            self._forget(np.flatnonzero(open_ != self._open).astype(np.int32))
            self._open[:] = open_
        _fill(rows.ravel(), self.base, self._columns, self._open, self._known, self._items, self._similar)
        return self._items, self._similar

    def grow(self, base: Scores) -> None:
        """Take over the catalogue's vectors, of which the last rows may be new: closed until `of` says otherwise."""
        more = len(base) - len(self.base)
        self.base = base
        self._columns = np.ascontiguousarray(base.T)
        self._items = np.vstack([self._items, np.full((more, self._count), -1, np.int32)])
        self._similar = np.vstack([self._similar, np.zeros((more, self._count), np.float32)])
        self._known = np.append(self._known, np.zeros(more, np.bool_))
        self._open = np.append(self._open, np.zeros(more, np.uint8))

    def move(self, row: int) -> None:
        """Follow an item whose vector in `base` has changed."""
        one = np.array([row], np.int32)
        self._forget(one)  # where it was
        self._columns[:, row] = self.base[row]
        self._forget(one)  # where it is
        self._known[row] = False

    def _forget(self, changed: NDArray[np.int32]) -> None:
        """Forget every list that an item is in, or would be if it were open."""
        if len(changed) > _FORGET_ALL:
            self._known[:] = False
        elif len(changed) and self._known.any():
            _forget_near(changed, self._columns, self._similar, self._items, self._known)


@compiled
def _similarities(query: Any, columns: Any, out: Any) -> None:
    """Write the products of one vector with all items': for a pair of items always the same bits."""
    n = out.shape[0]
    for first in range(0, n, _BLOCK):
        last = min(n, first + _BLOCK)
        part = out[first:last]
        part[:] = np.float32(0)
        for f in range(columns.shape[0]):
            column, q = columns[f, first:last], query[f]
            for j in range(part.shape[0]):
                part[j] += q * column[j]


@compiled
def _fill(rows: Any, base: Any, columns: Any, open_: Any, known: Any, items: Any, similar: Any) -> None:
    """Find the neighbours of those of `rows`, shape (n,), -1 padded, that are not known; see `Neighbours`."""
    score = np.empty(columns.shape[1], np.float32)
    for q in rows:
        if q < 0 or known[q]:
            continue
        known[q] = True
        _similarities(base[q], columns, score)
        for j in range(score.shape[0]):
            if open_[j] == 0:
                score[j] = MASKED
        n = top_items(score, MASKED, similar[q], items[q])
        items[q, n:] = -1
        similar[q, n:] = MASKED


@compiled
def _forget_near(changed: Any, columns: Any, similar: Any, items: Any, known: Any) -> None:
    """Forget the lists that a changed item is in, or is near enough to be in."""
    score = np.empty(columns.shape[1], np.float32)
    for j in changed:
        _similarities(columns[:, j].copy(), columns, score)
        for q in range(known.shape[0]):
            if known[q] and (score[q] >= similar[q].min() or (items[q] == j).any()):
                known[q] = False


@compiled
def sum_neighbours(history: Any, weights: Any, items: Any, similar: Any, is_new: Any, s: Any) -> int:
    """Sum the weighted similarities of an event's items' neighbours into `Sums`; return how many have a sum.

    Args:
        history: rows, newest first, up to the first -1.
        weights: per position, shape (P,), float32.
        items, similar: see `Neighbours.of`.
        is_new: scratch, shape (N,), bool, True: a sum may be 0.
        s: see `Sums`.
    """
    clear(s)
    used = 0
    for p in range(min(history.shape[0], weights.shape[0])):
        q = history[p]
        if q < 0:
            break
        for m in range(items.shape[1]):
            j = items[q, m]
            if j < 0:
                break
            s.ids[used] = j  # without a branch: what is there already is overwritten
            used += int(is_new[j])
            is_new[j] = False
            s.sums[j] += weights[p] * similar[q, m]
    for k in range(used):
        is_new[s.ids[k]] = True
    return used
