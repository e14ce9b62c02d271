"""Sparse rows that grow: counts of (row, item), kept in one pool for compiled loops; and the scores made of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled, compiled_long
from online.selection import select_sparse, sparse_mass_features
from state.tables import Tables

ROW_MAX = 4096  # entries of one row; a full row forgets its lighter half
_DENSE = 8  # an event with more than N / _DENSE entries in its rows is dense; both ways cost the same near there
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

    def scores(self, history: NDArray[np.int32], decays: NDArray[np.float32], batch: Batch) -> "SparseScores":
        """Return the sum over the newest items of their rows, over the root of each row's total; see `sum_rows`."""
        scores = SparseScores(len(history))
        scores.ids, scores.values = sum_rows(
            history, decays, self.start, self.size, self.ids, self.weights, self.totals, batch.seen, batch.seen_from,
            batch.open, scores.start, scores.dense,
        )  # fmt: skip
        return scores

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
        dense: events that have so many scores that `values` holds one of every item, 0 for none, and `ids` nothing;
            shape (B,), bool.
    """

    def __init__(self, events: int) -> None:
        self.ids: NDArray[np.int32] = np.empty(0, np.int32)
        self.values: Scores = np.empty(0, np.float32)
        self.start = np.zeros(events + 1, np.int64)
        self.dense = np.zeros(events, np.bool_)
        self._mass = np.zeros(events, np.float32)

    def select(self, batch: Batch, above: np.float32, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        """See `Expert.nominate`; scores up to `above` are none."""
        select_sparse(
            self.ids, self.values, self.start, self.dense, batch.target, batch.scored, above, item, rank, self._mass
        )  # fmt: skip

    def mass_features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        """See `Expert.features`; the scores are masses."""
        sparse_mass_features(self.ids, self.values, self.start, self.dense, self._mass, len(batch.open), item, n, out)


@compiled
def add_history(
    history: Any, targets: Any, amounts: Any, done: int, start: Any, size: Any, room: Any, totals: Any, ids: Any,
    weights: Any, used: Any, row_max: int,
) -> int:  # fmt: skip
    """Add amounts[p] to entry (history[e, p], targets[e]) of a pool of sparse rows, for all events and positions.

    Args:
        history: rows, shape (B, P), -1 padded; targets: shape (B,); amounts: shape (P,), float32.
        done: pairs (e, p) = (k // P, k % P) with k < done are skipped.
        start, size, room, totals: per row: place in the pool, entries, places reserved, sum of amounts.
        ids, weights: the pool; used: places reserved so far, shape (1,).
        row_max: a row with this many entries forgets its lighter half (of equal weights the newer entries).

    Returns:
        The number of pairs done; fewer than B * P when the pool is full: make it larger and call again.
    """
    B, P = history.shape
    for k in range(done, B * P):
        q = history[k // P, k % P]
        if q < 0:
            continue
        item = targets[k // P]
        amount = amounts[k % P]
        at = -1
        for x in range(start[q], start[q] + size[q]):
            if ids[x] == item:
                at = x
                break
        if at < 0 and size[q] >= row_max:  # not when the room is full: a restored row has less room
            heavy = np.sort(np.argsort(-weights[start[q] : start[q] + size[q]], kind="mergesort")[: row_max // 2])
            for x in range(len(heavy)):
                ids[start[q] + x] = ids[start[q] + heavy[x]]
                weights[start[q] + x] = weights[start[q] + heavy[x]]
            size[q] = len(heavy)
        if at < 0 and size[q] == room[q]:
            wider = max(4, 2 * size[q])
            if used[0] + wider > ids.shape[0]:
                return k
            for x in range(size[q]):
                ids[used[0] + x] = ids[start[q] + x]
                weights[used[0] + x] = weights[start[q] + x]
            start[q] = used[0]
            room[q] = wider
            used[0] += wider
        if at < 0:
            at = start[q] + size[q]
            ids[at] = item
            weights[at] = 0
            size[q] += 1
        weights[at] += amount
        totals[q] += amount
    return int(B * P)


@compiled
def take_shown(ids: Any, values: Any, sums: Any, hidden: Any, excluded: Any, open_: Any, first: int, used: int) -> int:
    """Keep of ids[first:used] what an event may show, write their sums to `values`, clear all sums; return the new end.

    Args:
        hidden: scratch, 1 where an item is not open; shape (N,), bool.
        excluded: items that the event may not show; open_: see `Batch`.
    """
    for j in excluded:
        hidden[j] = True
    shown = first
    for k in range(first, used):
        j = ids[k]
        ids[shown], values[shown] = j, sums[j]
        shown += int(not hidden[j])
        sums[j] = 0
    for j in excluded:
        hidden[j] = open_[j] == 0
    return shown


@compiled_long
def sum_rows(
    history: Any, decays: Any, row_start: Any, size: Any, row_ids: Any, weights: Any, totals: Any, seen: Any,
    seen_from: Any, open_: Any, start: Any, dense: Any,
) -> Any:  # fmt: skip
    """Return (ids, values) of `SparseScores`: the sum over p of decays[p] * T[q_p, j] / sqrt(totals[q_p] + 1).

    Args:
        history: rows q_p, shape (B, L), newest first, -1 padded; decays: shape (P,), float32.
        row_start, size, row_ids, weights, totals: see `SparseRows`.
        seen, seen_from, open_: see `Batch`; what an event may not show is left out.
        start, dense: see `SparseScores`; written. An event is dense by what its own rows hold, so that a batch equals
            its events one by one.
    """
    B, N = history.shape[0], open_.shape[0]
    P = min(history.shape[1], decays.shape[0])
    room = 0
    for e in range(B):
        entries = 0
        for p in range(P):
            if history[e, p] < 0:
                break
            entries += size[history[e, p]]
        dense[e] = entries * _DENSE > N
        room += N if dense[e] else entries
    ids = np.empty(room + 1, np.int32)
    values = np.empty(room + 1, np.float32)
    scratch = np.zeros(N, np.float32)  # of the sparse event at hand
    closed = np.flatnonzero(open_ == 0)
    hidden = open_ == 0
    used = 0
    for e in range(B):
        start[e] = used
        if dense[e]:
            sums = values[used : used + N]
            sums[:] = np.float32(0)
        else:
            sums = scratch
        for p in range(P):
            q = history[e, p]
            if q < 0:
                break
            factor = decays[p] / np.float32(np.sqrt(totals[q] + np.float32(1)))
            if dense[e]:
                for x in range(row_start[q], row_start[q] + size[q]):
                    sums[row_ids[x]] += factor * weights[x]
            else:
                for x in range(row_start[q], row_start[q] + size[q]):
                    j = row_ids[x]
                    ids[used] = j  # without a branch: what is there already is overwritten
                    used += int(sums[j] == 0)
                    sums[j] += factor * weights[x]
        excluded = seen[seen_from[e] : seen_from[e + 1]]
        if dense[e]:
            for j in excluded:
                sums[j] = 0
            for j in closed:
                sums[j] = 0
            used += N
        else:
            used = take_shown(ids, values, sums, hidden, excluded, open_, start[e], used)
    start[B] = used
    return ids[:used], values[:used]
