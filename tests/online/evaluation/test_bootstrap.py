"""Laws of the bootstrap: it draws users, it is repeatable, and its intervals are as wide as theory says."""

import numpy as np
import pytest

from online.evaluation.bootstrap import MIN_USERS, Column, Interval, bootstrap


def column(value: np.typing.NDArray[np.float64]) -> Column:
    return Column(value, np.ones(len(value), np.bool_))


def test_width_of_independent_users() -> None:
    """With one event a user the interval is that of a mean: 1.96 standard errors to each side."""
    rng = np.random.default_rng(3)
    hit = (rng.uniform(size=5000) < 0.3).astype(np.float64)
    (got,) = bootstrap(np.arange(5000, dtype=np.int32), [column(hit)])
    error = np.sqrt(hit.mean() * (1 - hit.mean()) / 5000)
    assert got.low is not None and got.high is not None
    assert got.mean == pytest.approx(hit.mean(), abs=1e-6)
    assert (got.high - got.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_events_of_one_user_are_one_block() -> None:
    """Twenty equal events of each user tell no more than one: the interval of the blocks, not of the events."""
    rng = np.random.default_rng(4)
    hit = (rng.uniform(size=500) < 0.3).astype(np.float64)
    (once,) = bootstrap(np.arange(500, dtype=np.int32), [column(hit)])
    (often,) = bootstrap(np.repeat(np.arange(500, dtype=np.int32), 20), [column(np.repeat(hit, 20))])
    assert often == once


def test_paired_differences_are_narrow() -> None:
    """What two models share falls out of their difference."""
    rng = np.random.default_rng(5)
    a = (rng.uniform(size=4000) < 0.3).astype(np.float64)
    b = np.where(rng.uniform(size=4000) < 0.02, 1.0, a)
    user = rng.integers(0, 400, 4000).astype(np.int32)
    of_a, of_b, difference = bootstrap(user, [column(a), column(b), column(b - a)])
    assert difference.mean == pytest.approx(of_b.mean - of_a.mean, abs=2e-6)
    assert of_a.high is not None and of_b.low is not None
    assert of_a.high > of_b.low  # the intervals overlap, and yet:
    assert difference.verdict() == "better"


def test_only_counted_events_matter() -> None:
    """A mean is over its counted events, with whatever stands elsewhere."""
    user = np.arange(100, dtype=np.int32)
    value = np.where(user < 50, 1.0, 99.0)
    (got,) = bootstrap(user, [Column(value, user < 50)])
    assert got == Interval(1.0, 1.0, 1.0)


def test_repeatable_and_by_seed() -> None:
    """The same seed draws the same users; codes are names only."""
    rng = np.random.default_rng(6)
    value, user = rng.uniform(size=900), rng.integers(0, 90, 900).astype(np.int32)
    one = bootstrap(user, [column(value)], draws=200)
    assert one == bootstrap(user * 7, [column(value)], draws=200)
    assert one != bootstrap(user, [column(value)], draws=200, seed=8)


def test_verdicts() -> None:
    """Above zero, below it, around it; where less is better; and where there are too few users to tell."""
    assert Interval(2, 1, 3).verdict() == "better"
    assert Interval(2, 1, 3).verdict(-1) == "worse"
    assert Interval(-2, -3, -1).verdict() == "worse"
    assert Interval(1, -1, 3).verdict() == Interval(0, 0, 0).verdict() == "no difference seen"
    few = bootstrap(np.arange(MIN_USERS - 1, dtype=np.int32), [column(np.ones(MIN_USERS - 1))])
    assert few == [Interval(1.0, None, None)]
    assert few[0].verdict() == "too few users"


def test_no_events() -> None:
    """An empty slice has a mean of 0 and no interval."""
    assert bootstrap(np.empty(0, np.int32), [column(np.empty(0))]) == [Interval(0.0, None, None)]
