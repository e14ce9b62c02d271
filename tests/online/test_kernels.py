"""Laws of the compiled loops, against plain sorts and float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.batch import Scores
from online.kernels import (
    MASKED,
    UNRANKED,
    kth_largest,
    log_row,
    mask_scores,
    mass_of,
    rank_of,
    softmax_row,
    top_items,
)
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
