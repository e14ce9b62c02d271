"""Laws of the log-loss: by hand, a probability over the whole catalogue, and no look ahead."""

import math

import numpy as np
import pytest

from online.evaluation.log_loss import escape, log_loss_report, log_losses
from tests.outcomes import MISS, outcomes, random_run


def test_by_hand() -> None:
    """A hit, a miss, a repeat that is not scored, a hit; N = 10."""
    run = outcomes([1, MISS, 0, 3], catalogue=10, chance=[0.5, 1, 1, 0.2])
    np.testing.assert_allclose(escape(run), [1 / 2, 1 / 3, 2 / 4, 2 / 4])
    expected = [-math.log(0.5 * 0.5 + 0.05), -math.log(1 / 30), 0, -math.log(0.5 * 0.2 + 0.05)]
    np.testing.assert_allclose(log_losses(run), expected, rtol=1e-6)
    report = log_loss_report(run, 2)
    assert (report["n"], report["mean"]) == (3, pytest.approx(sum(expected) / 3, abs=1e-5))
    assert report["knowing_nothing"] == pytest.approx(math.log(10), abs=1e-5)
    assert report["missed"] == pytest.approx(1 / 3, abs=1e-6)
    assert report["cumulative"][-1] == report["mean"]


def test_it_is_a_probability_over_the_catalogue() -> None:
    """p of every candidate and of every other item add up to one."""
    candidates, items = [0.5, 0.3, 0.2], 12
    chances = [candidates[0], candidates[1], candidates[2]]
    total = 0.0
    for k in range(items):
        found = k < len(candidates)
        run = outcomes([2, MISS, 1 if found else MISS], catalogue=items, chance=[0.5, 1, chances[k] if found else 1])
        total += math.exp(-log_losses(run)[2])
    assert total == pytest.approx(1.0)


def test_it_does_not_look_ahead() -> None:
    """The losses of a run's beginning do not depend on what follows."""
    run = random_run(300)
    cut = run._replace(
        **{name: getattr(run, name)[:100] for name in ("user", "item", "at_ms", "past", "action", "surprise", "best")},
        catalogue=run.catalogue[:100],
        ranks={model: ranks[:100] for model, ranks in run.ranks.items()},
    )
    assert log_losses(run)[:100].tolist() == log_losses(cut).tolist()


def test_knowing_more_costs_less() -> None:
    """A higher p of what happened is a smaller loss; a miss costs more than ln N."""
    sure, unsure = (log_losses(outcomes([1] * 50, chance=[p] * 50)).mean() for p in (0.9, 0.1))
    assert sure < unsure
    assert log_losses(outcomes([1, MISS]))[1] > math.log(100)
