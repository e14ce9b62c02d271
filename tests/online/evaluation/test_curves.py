"""Laws of the curves: each point is the mean of its window."""

import numpy as np
import pytest

from online.evaluation.curves import curves
from online.evaluation.outcomes import collect
from tests.outcomes import outcomes


def test_no_events_at_all() -> None:
    """A run without events has a curve without points."""
    assert curves(collect([{"final": True}])).at == []


def test_curve_is_the_mean_of_its_window() -> None:
    """Each point is the HR@10 of the scored events in the window that ends there."""
    rng = np.random.default_rng(0)
    ranks = rng.integers(0, 20, 20_000)
    got = curves(outcomes({"m": ranks.tolist()}), window=1000)
    assert (got.window, got.at[0], got.at[-1]) == (1000, 1000, 20_000)
    for at, value in zip(got.at, got.hr_at_10["m"], strict=True):
        window = ranks[at - 1000 : at]
        assert value == pytest.approx(np.mean(window[window > 0] <= 10), abs=1e-5)


def test_a_short_run_has_a_short_window() -> None:
    """A log of 40 events still has a curve; a window without a scored event has no value."""
    got = curves(outcomes({"m": [0] * 20 + [1] * 20}))
    assert got.window == 4
    assert (got.hr_at_10["m"][0], got.hr_at_10["m"][-1]) == (None, 1.0)
