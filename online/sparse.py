"""Sparse rows that grow: counts of (row, item), kept in one pool for compiled loops; and the scores made of them."""

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.kernels import add_history
from online.selection import select_sparse, sparse_mass_features
from state.tables import Tables

ROW_MAX = 4096  # entries of one row; a full row forgets its lighter half
_GROUP = 256  # rows per table when stored, so that a changed row rewrites little


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
        self.totals = np.zeros(rows, np.float32)
        self.ids: NDArray[np.int32] = np.zeros(1024, np.int32)
        self.weights: NDArray[np.float32] = np.zeros(1024, np.float32)
        self._used = np.zeros(1, np.int64)

    def add(self, history: NDArray[np.int32], targets: NDArray[np.int32], amounts: NDArray[np.float32]) -> None:
        """Add amounts[p] to entry (history[e, p], targets[e]) for all events e and positions p.

        Args:
            history: rows, shape (B, P), int32, -1 padded.
            targets: items, shape (B,), int32.
            amounts: shape (P,), float32.
        """
        done = 0
        while done < history.size:
            done = add_history(
                history, targets, amounts, done, self.start, self.size, self._room, self.totals, self.ids,
                self.weights, self._used, ROW_MAX,
            )  # fmt: skip
            if done < history.size:
                self._make_room()

    def grow(self, rows: int) -> None:
        """Add empty rows until there are `rows`."""
        more = rows - len(self.size)
        self.start = np.append(self.start, np.zeros(more, np.int64))
        self.size = np.append(self.size, np.zeros(more, np.int32))
        self._room = np.append(self._room, np.zeros(more, np.int32))
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
        sizes = np.asarray(tables[f"{name}.sizes"], np.int32)
        self.__init__(len(sizes))  # type: ignore[misc]
        self.totals = np.asarray(tables[f"{name}.totals"], np.float32)
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

    def _make_room(self) -> None:
        """Write the pool anew without gaps, with space for as much again."""
        places = int(self._room.sum())
        ids = np.zeros(2 * (places + 2 * ROW_MAX), np.int32)
        weights = np.zeros(len(ids), np.float32)
        used = 0
        for row in np.flatnonzero(self._room):
            start, size = int(self.start[row]), int(self.size[row])
            ids[used : used + size] = self.ids[start : start + size]
            weights[used : used + size] = self.weights[start : start + size]
            self.start[row] = used
            used += int(self._room[row])
        self.ids, self.weights, self._used = ids, weights, np.array([used], np.int64)


class SparseScores:
    """One expert's scores of a batch where most items have none: only those that an event may show.

    Attributes:
        ids, values: of event e from start[e] to start[e + 1]; int32 and float32.
        start: shape (B + 1,), int64.
    """

    def __init__(self, events: int) -> None:
        self.ids: NDArray[np.int32] = np.empty(0, np.int32)
        self.values: Scores = np.empty(0, np.float32)
        self.start = np.zeros(events + 1, np.int64)
        self._mass = np.zeros(events, np.float32)

    def select(self, batch: Batch, above: np.float32, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert.nominate`; scores up to `above` are none."""
        select_sparse(
            self.ids, self.values, self.start, batch.target, batch.scored, above, item, rank, self._mass
        )  # fmt: skip

    def mass_features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert.features`; the scores are masses."""
        sparse_mass_features(self.ids, self.values, self.start, self._mass, len(batch.open), item, n, out)
