"""Laws of calibration: what is claimed against what happened, by hand and for a forecaster who is right."""

import numpy as np
import pytest

from online.evaluation.calibration import BINS, calibration
from online.evaluation.log_loss import escape
from tests.outcomes import MISS, outcomes


def test_by_hand() -> None:
    """Ten scored events, one per bin, ordered by claim; a rank of 1 means that the best candidate was right."""
    best = [0.1 * k for k in range(1, 11)]
    run = outcomes([1 if k % 2 else 2 for k in range(10)] + [0], best=[*best, 0.9])
    got = calibration(run)["catalogue"]
    claimed = (1 - escape(run)[:10]) * np.array(best)
    order = np.argsort(claimed)
    assert [one["n"] for one in got["bins"]] == [1] * BINS
    assert [one["claimed"] for one in got["bins"]] == pytest.approx(claimed[order].tolist(), abs=1e-6)
    happened = [float(k % 2) for k in order]
    assert [one["happened"] for one in got["bins"]] == happened
    assert got["error"] == pytest.approx(np.mean(np.abs(claimed[order] - happened)), abs=1e-6)


def test_an_honest_forecaster_has_no_error() -> None:
    """When claims come true as often as they say, bins lie on the diagonal."""
    rng = np.random.default_rng(0)
    best = rng.uniform(0.05, 0.9, 40_000)
    right = rng.uniform(size=len(best)) < best
    got = calibration(outcomes(np.where(right, 1, 2).tolist(), best=best.tolist()))
    assert got["catalogue"]["error"] < 0.01
    assert got["candidates"]["error"] < 0.01


def test_nothing_scored() -> None:
    """No bins, no error."""
    got = calibration(outcomes([0, 0]))
    assert got["catalogue"] == got["candidates"] == {"bins": [], "error": 0}


def test_a_miss_counts_for_all_events_alone() -> None:
    """An item outside the candidates says nothing of the blend's own probabilities."""
    got = calibration(outcomes([1, MISS, 1], best=[0.5, 0.9, 0.5]))
    assert [one["claimed"] for one in got["candidates"]["bins"]] == [0.5, 0.5]
    assert [one["n"] for one in got["catalogue"]["bins"]] == [1, 1, 1]
