"""Laws of sparse rows, against a dense table."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Scores
from online.selection import ALL, new_sums
from online.sparse import SparseRows, add, sum_rows
from tests.strategies import quick

counts = st.lists(st.tuples(st.lists(st.integers(0, 6), max_size=4), st.integers(0, 6)), min_size=1, max_size=60)


@given(events=counts, cuts=st.sets(st.integers(0, 60)))
@quick
def test_sparse_rows_equal_a_dense_table(events: list[tuple[list[int], int]], cuts: set[int]) -> None:
    """Counts and scores equal those of a dense matrix, however the rows moved, grew or were stored on the way."""
    amounts = np.array([1, 0.5, 0.25], np.float32)
    sparse, dense = SparseRows(3), np.zeros((7, 7))
    sparse.grow(7)
    for number, (history, target) in enumerate(events):
        padded = np.array([(history + [-1] * 3)[:3]], np.int32)
        add_all(sparse, padded, [target], amounts)
        for q, amount in zip(history, amounts.tolist(), strict=False):
            dense[q, target] += amount
        if number in cuts:
            stored = sparse.tables("t")
            sparse = SparseRows(0)
            sparse.load(stored, "t")
    queries = np.stack([np.arange(7), np.full(7, -1)], axis=1).astype(np.int32)
    for more in (0, 1000):  # in a small catalogue an event has many scores, in a large one few
        got = dense_sums(sparse, queries, 7 + more)
        np.testing.assert_allclose(got[:, :7], dense / np.sqrt(dense.sum(axis=1, keepdims=True) + 1), rtol=1e-5)
        assert not got[:, 7:].any()


def add_all(sparse: SparseRows, history: NDArray[np.int32], targets: list[int], amounts: Scores) -> None:
    """Add amounts[p] to entry (history[e, p], targets[e]) for all events e and positions p."""
    pool = sparse.prepare(history)
    for rows, target in zip(history.tolist(), targets, strict=True):
        for q, amount in zip(rows, amounts, strict=True):
            if q >= 0:
                add(pool, q, target, amount)


def dense_sums(sparse: SparseRows, queries: NDArray[np.int32], items: int) -> Scores:
    """Return what `sum_rows` gives, as a dense matrix, one event after the other on the same scratch."""
    pool, sums = sparse.prepare(queries), new_sums(items)
    out = np.zeros((len(queries), items), np.float32)
    for e, rows in enumerate(queries):
        sums.size[0] = used = sum_rows(pool, rows, np.ones(2, np.float32), sums)
        assert used == ALL or sorted(sums.ids[:used].tolist()) == np.flatnonzero(sums.sums).tolist()
        out[e] = sums.sums
    return out


def test_sparse_rows_in_a_full_pool() -> None:
    """Many long rows overflow the pool again and again and lose no count."""
    rng = np.random.default_rng(1)
    sparse, dense = SparseRows(60), np.zeros((60, 300))
    amounts = np.ones(2, np.float32)
    for _ in range(60):
        history, targets = rng.integers(0, 60, (100, 2)).astype(np.int32), rng.integers(0, 300, 100).astype(np.int32)
        add_all(sparse, history, targets.tolist(), amounts)
        np.add.at(dense, (history.ravel(), np.repeat(targets, 2)), 1)
    assert len(sparse.ids) > 5000
    for row in range(60):
        place = slice(int(sparse.start[row]), int(sparse.start[row] + sparse.size[row]))
        got = dict(zip(sparse.ids[place].tolist(), sparse.weights[place].tolist(), strict=True))
        assert got == {item: count for item, count in enumerate(dense[row].tolist()) if count}
