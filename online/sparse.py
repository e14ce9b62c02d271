"""Sparse rows that grow: counts of (row, item), kept in one pool for compiled loops; and the sums made of them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled
from online.selection import ALL, clear
from state.tables import Tables

ROW_MAX = 4096  # entries of one row; a full row forgets its lighter half
_MANY = 8  # with more than N / _MANY entries in an event's rows all sums are looked at; both cost the same near there
_GROUP = 256  # rows per table when stored, so that a changed row rewrites little


class Pool(NamedTuple):
    """The arrays of `SparseRows`; `room`: places reserved for each row; `used`: places reserved so far, shape (1,).

    A row with `row_max` entries is full.
    """

    start: NDArray[np.int64]
    size: NDArray[np.int32]
    room: NDArray[np.int32]
    totals: Scores
    ids: NDArray[np.int32]
    weights: Scores
    used: NDArray[np.int64]
    row_max: int


class SparseRows:
    """N rows of (item, weight) entries in order of first use.

    Attributes:
        start, size: place of each row in the pool, shape (N,), int64 and int32.
        ids, weights: the pool, int32 and float32.
        totals: sum of each row's amounts ever added, shape (N,), float32.
    """

    def __init__(self, rows: int) -> None:
        self.start = np.zeros(rows, np.int64)
        self.size = np.zeros(rows, np.int32)
        self._room = np.zeros(rows, np.int32)
        self._more = np.zeros(rows, np.int32)  # scratch
        self.totals = np.zeros(rows, np.float32)
        self.ids: NDArray[np.int32] = np.zeros(1024, np.int32)
        self.weights: NDArray[np.float32] = np.zeros(1024, np.float32)
        self._used = np.zeros(1, np.int64)

    def prepare(self, rows: NDArray[np.int32]) -> Pool:
        """Return the arrays, with room for one new entry in each of `rows`, -1 padded, as often as it is there."""
        places = _places(rows, self.size, self._room, self._more, ROW_MAX)
        if self._used[0] + places > len(self.ids):
            self._make_room(places)
        return Pool(self.start, self.size, self._room, self.totals, self.ids, self.weights, self._used, ROW_MAX)

    def grow(self, rows: int) -> None:
        """Add empty rows until there are `rows`."""
        more = rows - len(self.size)
        self.start = np.append(self.start, np.zeros(more, np.int64))
        self.size = np.append(self.size, np.zeros(more, np.int32))
        self._room = np.append(self._room, np.zeros(more, np.int32))
        self._more = np.append(self._more, np.zeros(more, np.int32))
        self.totals = np.append(self.totals, np.zeros(more, np.float32))

    def tables(self, name: str) -> Tables:
        """Return the rows in groups: entries in their order, without the pool's gaps."""
        tables: Tables = {f"{name}.totals": self.totals, f"{name}.sizes": self.size}
        for group, first in enumerate(range(0, len(self.size), _GROUP)):
            places = [
                np.arange(self.start[row], self.start[row] + self.size[row])
                for row in range(first, min(first + _GROUP, len(self.size)))
            ]
            entries = np.concatenate(places)
            if len(entries):
                tables[f"{name}.ids.{group}"] = self.ids[entries]
                tables[f"{name}.weights.{group}"] = self.weights[entries]
        return tables

    def load(self, tables: Tables, name: str) -> None:
        """Take over what `tables` returned."""
        sizes = np.array(tables[f"{name}.sizes"], np.int32)
        self.__init__(len(sizes))  # type: ignore[misc]
        self.totals = np.array(tables[f"{name}.totals"], np.float32)
        groups = [group for group in range(-(-len(sizes) // _GROUP)) if f"{name}.ids.{group}" in tables]
        entries = int(sizes.sum())
        if entries:
            self.ids = np.concatenate([np.asarray(tables[f"{name}.ids.{group}"], np.int32) for group in groups])
            self.weights = np.concatenate(
                [np.asarray(tables[f"{name}.weights.{group}"], np.float32) for group in groups]
            )
        self.start = np.cumsum(np.append(0, sizes[:-1]), dtype=np.int64)
        self.size = sizes
        self._room = sizes.copy()
        self._used = np.array([entries], np.int64)

    def _make_room(self, more: int) -> None:
        """Write the pool anew without gaps, with space for as much again and `more`."""
        places = int(self._room.sum())
        ids = np.zeros(2 * (places + more), np.int32)
        weights = np.zeros(len(ids), np.float32)
        used = 0
        for row in np.flatnonzero(self._room):
            start, size = int(self.start[row]), int(self.size[row])
            ids[used : used + size] = self.ids[start : start + size]
            weights[used : used + size] = self.weights[start : start + size]
            self.start[row] = used
            used += int(self._room[row])
        self.ids, self.weights, self._used = ids, weights, np.array([used], np.int64)


@compiled
def _places(rows: Any, size: Any, room: Any, more: Any, row_max: int) -> int:
    """Return how many places at most are reserved when each of `rows` gets a new entry; see `add`.

    Args:
        rows: shape (B, P), -1 padded.
        size, room: see `Pool`.
        more: scratch, zeros, shape (N,).
    """
    for e, p in np.ndindex(rows.shape):
        if rows[e, p] >= 0:
            more[rows[e, p]] += 1
    places = 0
    for e, p in np.ndindex(rows.shape):
        q = rows[e, p]
        if q < 0 or more[q] == 0:
            continue
        entries, reserved = size[q], room[q]
        for _ in range(more[q]):
            if entries >= row_max:
                entries = row_max // 2
            if entries == reserved:
                reserved = max(4, 2 * entries)
                places += reserved
            entries += 1
        more[q] = 0
    return places


@compiled
def add(pool: Any, q: int, item: int, amount: Any) -> None:
    """Add `amount` to entry `item` of row `q`; there must be room, see `SparseRows.prepare`.

    A full row forgets its lighter half, of equal weights the newer entries.
    """
    start, size = pool.start[q], pool.size[q]
    pool.totals[q] += amount
    for x in range(start, start + size):
        if pool.ids[x] == item:
            pool.weights[x] += amount
            return
    if size >= pool.row_max:  # not when the room is full: a restored row has less room
        heavy = np.sort(np.argsort(-pool.weights[start : start + size], kind="mergesort")[: pool.row_max // 2])
        for x in range(len(heavy)):
            pool.ids[start + x] = pool.ids[start + heavy[x]]
            pool.weights[start + x] = pool.weights[start + heavy[x]]
        size = np.int32(len(heavy))
    if size == pool.room[q]:
        wider = max(4, 2 * size)
        for x in range(size):
            pool.ids[pool.used[0] + x] = pool.ids[start + x]
            pool.weights[pool.used[0] + x] = pool.weights[start + x]
        start = pool.used[0]
        pool.start[q] = start
        pool.room[q] = wider
        pool.used[0] += wider
    pool.ids[start + size] = item
    pool.weights[start + size] = amount
    pool.size[q] = size + 1


@compiled
def sum_rows(pool: Any, rows: Any, decays: Any, s: Any) -> int:
    """Sum decays[p] * T[q_p, j] / sqrt(totals[q_p] + 1) over the rows q_p into `Sums`; return `used` for `choose`.

    Args:
        pool: of the rows T.
        rows: newest first, up to the first -1.
        decays: shape (P,), float32.
    """
    clear(s)
    sums, ids = s.sums, s.ids
    P = min(rows.shape[0], decays.shape[0])
    entries = 0
    for p in range(P):
        if rows[p] < 0:
            P = p
            break
        entries += pool.size[rows[p]]
    many = entries * _MANY > sums.shape[0]
    used = 0
    for p in range(P):
        q = rows[p]
        factor = decays[p] / np.float32(np.sqrt(pool.totals[q] + np.float32(1)))
        if many:
            for x in range(pool.start[q], pool.start[q] + pool.size[q]):
                sums[pool.ids[x]] += factor * pool.weights[x]
        else:
            for x in range(pool.start[q], pool.start[q] + pool.size[q]):
                j = pool.ids[x]
                ids[used] = j  # without a branch: what is there already is overwritten
                used += int(sums[j] == 0)
                sums[j] += factor * pool.weights[x]
    return ALL if many else used
