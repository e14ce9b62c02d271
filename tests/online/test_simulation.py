"""Laws of the made-up log: the best list hits as often as is said, and nothing comes before it is there."""

import numpy as np

from online.simulation import simulate

LOG = simulate(events=6000, items=200, users=100, seed=3)


def test_the_best_list_hits_as_often_as_is_said() -> None:
    """Drawn events hit the ten likeliest items within five standard errors of the chances' mean."""
    hits = LOG.best_rank <= 10
    error = np.sqrt((LOG.best_hit * (1 - LOG.best_hit)).sum()) / len(hits)
    assert abs(hits.mean() - LOG.best_hit.mean()) < 5 * error
    assert 0.5 < LOG.best_hit.mean() < 0.9


def test_nothing_comes_before_it_is_there() -> None:
    """Some items come during the log, and no event has one of them before; times ascend."""
    assert np.count_nonzero(LOG.available_s) > 10
    assert (LOG.at_s >= LOG.available_s[LOG.item]).all()
    assert (np.diff(LOG.at_s) > 0).all()


def test_equal_seeds_give_equal_logs() -> None:
    """And another seed another one."""
    again, other = (simulate(events=6000, items=200, users=100, seed=seed) for seed in (3, 4))
    assert np.array_equal(again.item, LOG.item)
    assert not np.array_equal(other.item, LOG.item)
    assert len(set(LOG.titles)) == 200
