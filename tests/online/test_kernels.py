"""Laws of the compiled loops, against plain sorts and float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Scores
from online.kernels import (
    MASKED,
    UNRANKED,
    kth_largest,
    log_row,
    mask_scores,
    mass_of,
    mean_history,
    rank_of,
    softmax_row,
    sum_rows,
    top_items,
)
from online.sparse import SparseRows
from tests.strategies import quick

few_values = st.sampled_from([-3.0, -1.0, 0.0, 0.5, 0.5, 2.0, float(MASKED)])  # ties and masked items are common
rows = st.lists(few_values, min_size=1, max_size=70).map(lambda values: np.array(values, np.float32))
logits = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=50).map(lambda row: np.array(row, np.float32))


def top(row: Scores, above: float, keep: int) -> list[tuple[float, int]]:
    score, item = np.empty(keep, np.float32), np.empty(keep, np.int32)
    n = top_items(row, np.float32(above), score, item)
    return sorted(zip((-score[:n]).tolist(), item[:n].tolist(), strict=True))


def softmax(row: Scores, out: Scores) -> None:
    powers = np.empty(len(row), np.int32)
    softmax_row(row, row.max(), out, powers, powers.view(np.float32))


@given(row=rows, above=st.sampled_from([0.0, float(MASKED)]), keep=st.integers(1, 80))
@quick
def test_top_items_equal_a_sort(row: Scores, above: float, keep: int) -> None:
    """The best items above the bound, of equal scores the lower rows; masked ones never."""
    best = sorted((-score, item) for item, score in enumerate(row.tolist()) if score > above)
    assert top(row, above, keep) == best[:keep]


def test_top_items_of_long_rows() -> None:
    """The same holds for rows of every length around the vector width, with many equal scores."""
    rng = np.random.default_rng(3)
    for n in [*range(30, 170), 1000, 1007, 1023, 1024, 1025, 1300, 3000, 70_000]:
        row = rng.geometric(0.5, n).astype(np.float32) / np.float32(8)  # few best, so that ties decide
        best = sorted((-score, item) for item, score in enumerate(row.tolist()) if score > 0)
        assert top(row, 0.0, 20) == best[:20]


@given(row=st.one_of(rows, logits), k=st.integers(1, 80))
@quick
def test_kth_largest_equals_a_sort(row: Scores, k: int) -> None:
    """Bit for bit, with ties, negative and masked scores."""
    k = min(k, len(row))
    assert kth_largest(row, k) == np.sort(row)[-k]


@given(row=st.lists(st.floats(2.0**-100, 2.0**100, width=32), min_size=1, max_size=50))
@quick
def test_log_equals_float64(row: list[float]) -> None:
    """Within 3e-7 of the logarithm in float64, relative to the larger of it and 1."""
    numbers = np.array(row, np.float32)
    out = np.empty_like(numbers)
    log_row(numbers, out)
    exact = np.log(numbers.astype(np.float64))
    assert (np.abs(out - exact) <= 3e-7 * np.maximum(1, np.abs(exact))).all()


@given(row=rows, target=st.integers(0, 1000))
@quick
def test_rank_counts_ties_against_us(row: Scores, target: int) -> None:
    """The rank is the number of items that score at least as much, the target included; a masked one has no rank."""
    target %= len(row)
    expected = sum(score >= row[target] for score in row.tolist()) if row[target] > MASKED else UNRANKED
    assert rank_of(row, target) == expected


@given(row=logits, masked=st.sets(st.integers(0, 49)))
@quick
def test_softmax_equals_float64(row: Scores, masked: set[int]) -> None:
    """Within 1e-6 of the softmax in float64; masked items get next to nothing."""
    row[[j for j in masked if j < len(row) - 1]] = MASKED
    out = np.empty_like(row)
    softmax(row, out)
    exact = row.astype(np.float64)
    powers = np.exp(exact - exact.max())
    np.testing.assert_allclose(out, powers / powers.sum(), atol=1e-6, rtol=0)
    assert (out[row == MASKED] < 1e-18).all()


@given(row=logits)
@quick
def test_softmax_in_place_equals_out_of_place(row: Scores) -> None:
    """Bit for bit."""
    out = np.empty_like(row)
    softmax(row, out)
    softmax(row, row)
    assert out.tobytes() == row.tobytes()


def test_softmax_with_nothing_left() -> None:
    """With all items masked there is no error and no NaN."""
    row = np.full(7, MASKED)
    softmax(row, row)
    assert np.isfinite(row).all()


@given(row=rows)
@quick
def test_mass_is_the_sum_of_positive_scores(row: Scores) -> None:
    """Masked and negative entries add nothing."""
    assert mass_of(row) == pytest.approx(sum(score for score in row.tolist() if score > 0), rel=1e-6)


def test_mask_hides_what_may_not_be_shown() -> None:
    """What the event excludes, and what is closed to everybody."""
    scores = np.ones((2, 5), np.float32)
    seen, seen_from = np.array([0, 1, 1, 4], np.int32), np.array([0, 2, 4], np.int32)
    mask_scores(scores, seen, seen_from, np.array([1, 1, 1, 0, 1], np.uint8))
    assert (scores == MASKED).tolist() == [[True, True, False, True, False], [False, True, False, True, True]]


def test_mean_history_equals_numpy() -> None:
    """The weighted sum over the weights' norm; zero without a history; what follows a -1 is not read."""
    rng = np.random.default_rng(0)
    table, weights = rng.normal(size=(9, 3)).astype(np.float32), np.array([1, 0.5, 0.25, 0.1], np.float32)
    histories = [[3, 3, 8], [], [1], [2, 0, 5, 7]]
    padded = np.array([(one + [-1] * 4)[:4] for one in histories], np.int32)
    padded[2, 2] = 4  # after a gap
    out, norms = np.empty((4, 3), np.float32), np.empty(4, np.float32)
    mean_history(padded, weights, table, out, norms)
    for history, query, inverse in zip(histories, out, norms, strict=True):
        used = weights[: len(history)].astype(np.float64)
        norm = np.sqrt((used**2).sum())
        expected = (used[:, None] * table[history]).sum(axis=0) / norm if history else np.zeros(3)
        np.testing.assert_allclose(query, expected, atol=1e-6)
        assert inverse == pytest.approx(1 / norm if history else 0.0)


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
    got = dense_sums(sparse, queries, [[]] * 7, np.ones(7, np.uint8))
    np.testing.assert_allclose(got, dense / np.sqrt(dense.sum(axis=1, keepdims=True) + 1), rtol=1e-5)
    seen, opened = [[row % 7, (row + 2) % 7] for row in range(7)], np.array([1, 1, 0, 1, 1, 1, 0], np.uint8)
    hidden = np.array([[not opened[j] or j in seen[row] for j in range(7)] for row in range(7)])
    assert np.array_equal(dense_sums(sparse, queries, seen, opened), np.where(hidden, 0, got))


def dense_sums(
    sparse: SparseRows, queries: NDArray[np.int32], seen: list[list[int]], open_: NDArray[np.uint8]
) -> Scores:
    """Return what `sum_rows` gives, as a dense matrix."""
    start, seen_from = np.empty(len(queries) + 1, np.int64), np.cumsum([0, *map(len, seen)])
    ids, values = sum_rows(
        queries, np.ones(2, np.float32), sparse.start, sparse.size, sparse.ids, sparse.weights, sparse.totals,
        np.array([item for one in seen for item in one], np.int32), seen_from, open_, start,
    )  # fmt: skip
    out = np.zeros((len(queries), len(open_)), np.float32)
    for e in range(len(queries)):
        part = slice(start[e], start[e + 1])
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
