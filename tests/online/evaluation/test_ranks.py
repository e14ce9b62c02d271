"""Laws of the measures of ranks: they are what a plain loop over the events would compute."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.evaluation.outcomes import OWN, Outcomes, collect
from online.evaluation.ranks import debiased_hit_rate, hit_rate, hits, measure, more_measures, standard_error
from online.evaluation.slices import HEADLINES
from online.kernels import UNRANKED
from tests.outcomes import outcomes


def run_of(ranks: list[int], known: list[bool] | None = None) -> Outcomes:
    return outcomes({"m": ranks}, past=[int(each) for each in known] if known is not None else None)


events = st.lists(st.tuples(st.sampled_from([0, 1, 2, 9, 10, 11, 20, 21, 500, UNRANKED]), st.booleans()), max_size=60)


@given(events=events)
def test_metrics_are_the_plain_sums(events: list[tuple[int, bool]]) -> None:
    """Vectorised means equal a loop over the events of the slice."""
    run = run_of([rank for rank, _ in events], [known for _, known in events])
    n = len(events)
    inside = {
        "all": [True] * n,
        "last_80": [index >= n // 5 for index in range(n)],
        "last_10_known_user": [index >= 9 * n // 10 and known for index, (_, known) in enumerate(events)],
    }
    assert inside.keys() == HEADLINES.keys()
    for name, got in measure(run)["m"].items():
        ranks = [rank for (rank, _), counts in zip(events, inside[name], strict=True) if rank and counts]
        assert got["n"] == len(ranks)
        for k in (10, 20):
            top = [rank for rank in ranks if rank <= k]
            assert got[f"hr@{k}"] == pytest.approx(len(top) / max(1, len(ranks)), abs=1e-6)
            assert got[f"ndcg@{k}"] == pytest.approx(
                sum(1 / math.log2(1 + r) for r in top) / max(1, len(ranks)), abs=1e-6
            )
        assert got["mrr@10"] == pytest.approx(sum(1 / r for r in ranks if r <= 10) / max(1, len(ranks)), abs=1e-6)
        assert set(got) == {"n", "hr@10", "ndcg@10", "mrr@10", "hr@20", "ndcg@20"}


def test_an_unscored_event_counts_nowhere() -> None:
    """Rank 0 is a repeat that could not be recommended; a target without a score is a miss."""
    got = measure(run_of([0, 1, UNRANKED, 0]))["m"]["all"]
    assert (got["n"], got["hr@10"], got["mrr@10"]) == (2, 0.5, 0.5)


def test_progress_and_error() -> None:
    """Tick by tick hits add up to the whole; the standard error is the binomial one."""
    assert hits([0, 1, 10, 11, UNRANKED]) == (2, 4)
    assert standard_error(0.25, 7500) == pytest.approx(0.005)
    assert standard_error(0.0, 0) == 0.0


def test_no_events_at_all() -> None:
    """A run without events has no models."""
    assert measure(collect([{"final": True}])) == {}


def test_one_relevant_item_by_hand() -> None:
    """Ranks 1, 4, a miss and a repeat, of 11 items: three events count."""
    got = more_measures(outcomes([1, 4, UNRANKED, 0], item=[0, 1, 0, 0], catalogue=11))[OWN]
    assert got["n"] == 3
    assert got["mrr"] == got["map@10"] == pytest.approx((1 + 1 / 4) / 3, abs=1e-6)
    assert got["recall@10"] == pytest.approx(2 / 3, abs=1e-6)
    assert got["precision@10"] == pytest.approx(2 / 30, abs=1e-6)
    assert got["f1@10"] == pytest.approx(2 / 3 * 2 / 11, abs=1e-6)  # of a hit: 2 * .1 * 1 / 1.1
    assert got["auc"] == pytest.approx((1 + 0.7 + 0) / 3, abs=1e-6)  # 10, 7 and none of the 10 others below
    assert got["debiased_hr@10"] == pytest.approx((1 / 2 + 1) / 2, abs=1e-6)  # item 0: one of two; item 1: one of one


def test_full_mrr_has_no_cut() -> None:
    """Rank 50 counts in the mean reciprocal rank and not in average precision at ten."""
    got = more_measures(outcomes([50]))[OWN]
    assert (got["mrr"], got["map@10"]) == (0.02, 0.0)


@given(items=st.lists(st.integers(0, 5), min_size=1, max_size=30), data=st.data())
def test_debiased_is_the_mean_over_items(items: list[int], data: st.DataObject) -> None:
    """Weights 1 / popularity make every item count the same."""
    ranks = data.draw(st.lists(st.integers(1, 20), min_size=len(items), max_size=len(items)))
    hit = hit_rate(np.array(ranks, np.int32))
    by_item = {item: [h for h, other in zip(hit, items, strict=True) if other == item] for item in items}
    expected = sum(sum(own) / len(own) for own in by_item.values()) / len(by_item)
    assert debiased_hit_rate(np.array(items, np.int32), hit) == pytest.approx(expected, abs=1e-6)
