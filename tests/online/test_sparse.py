"""Laws of sparse rows, against a dense table."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Scores
from online.sparse import SparseRows, sum_rows
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
        sparse.add(padded, np.array([target], np.int32), amounts)
        for q, amount in zip(history, amounts.tolist(), strict=False):
            dense[q, target] += amount
        if number in cuts:
            stored = sparse.tables("t")
            sparse = SparseRows(0)
            sparse.load(stored, "t")
    queries = np.stack([np.arange(7), np.full(7, -1)], axis=1).astype(np.int32)
    seen, opened = [[row % 7, (row + 2) % 7] for row in range(7)], np.array([1, 1, 0, 1, 1, 1, 0], np.uint8)
    hidden = np.array([[not opened[j] or j in seen[row] for j in range(7)] for row in range(7)])
    for more in (0, 1000):  # in a small catalogue events are dense, in a large one sparse
        got = dense_sums(sparse, queries, [[]] * 7, np.ones(7 + more, np.uint8))
        np.testing.assert_allclose(got[:, :7], dense / np.sqrt(dense.sum(axis=1, keepdims=True) + 1), rtol=1e-5)
        assert not got[:, 7:].any()
        shown = dense_sums(sparse, queries, seen, np.append(opened, np.ones(more, np.uint8)))
        assert np.array_equal(shown[:, :7], np.where(hidden, 0, got[:, :7]))


def dense_sums(
    sparse: SparseRows, queries: NDArray[np.int32], seen: list[list[int]], open_: NDArray[np.uint8]
) -> Scores:
    """Return what `sum_rows` gives, as a dense matrix."""
    start, seen_from = np.empty(len(queries) + 1, np.int64), np.cumsum([0, *map(len, seen)])
    is_dense = np.empty(len(queries), np.bool_)
    ids, values = sum_rows(
        queries, np.ones(2, np.float32), sparse.start, sparse.size, sparse.ids, sparse.weights, sparse.totals,
        np.array([item for one in seen for item in one], np.int32), seen_from, open_, start, is_dense,
    )  # fmt: skip
    out = np.zeros((len(queries), len(open_)), np.float32)
    for e in range(len(queries)):
        part = slice(start[e], start[e + 1])
        if is_dense[e]:
            out[e] = values[part]
            continue
        assert len(set(ids[part].tolist())) == len(ids[part])
        out[e, ids[part]] = values[part]
    return out


def test_sparse_rows_in_a_full_pool() -> None:
    """Many long rows overflow the pool again and again and lose no count."""
    rng = np.random.default_rng(1)
    sparse, dense = SparseRows(60), np.zeros((60, 300))
    amounts = np.ones(2, np.float32)
    for _ in range(60):
        history, targets = rng.integers(0, 60, (100, 2)).astype(np.int32), rng.integers(0, 300, 100).astype(np.int32)
        sparse.add(history, targets, amounts)
        np.add.at(dense, (history.ravel(), np.repeat(targets, 2)), 1)
    assert len(sparse.ids) > 5000
    for row in range(60):
        place = slice(int(sparse.start[row]), int(sparse.start[row] + sparse.size[row]))
        got = dict(zip(sparse.ids[place].tolist(), sparse.weights[place].tolist(), strict=True))
        assert got == {item: count for item, count in enumerate(dense[row].tolist()) if count}
