"""Laws of the metrics: they are what a plain loop over the events would compute."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.kernels import UNRANKED
from online.metrics import SLICES, Ranks, collect, curves, hits, measure, standard_error
from state.errors import HeadwaterError


def line(first: int, tick: int, ranks: list[int], known: list[int]) -> dict[str, Any]:
    return {
        "tick": tick,
        "first": first,
        "known": known,
        "ranks": {"headwater": ranks, "twice": [2 * r for r in ranks]},
    }


def run_of(ranks: list[int], known: list[bool] | None = None) -> Ranks:
    return Ranks(np.array(known if known is not None else [True] * len(ranks), bool), {"m": np.array(ranks, np.int32)})


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
    assert inside.keys() == SLICES.keys()
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


@given(order=st.permutations(range(4)))
def test_lines_come_in_any_order(order: list[int]) -> None:
    """A run's lines may be read from several files; an empty tick and the final line add nothing."""
    lines = [line(0, 5, [1, 2], [0, 1]), line(2, 6, [], []), line(2, 7, [3], [1]), {"final": True, "accepted": 3}]
    run = collect(lines[index] for index in order)
    assert run.ranks["twice"].tolist() == [2, 4, 6]
    assert run.known.tolist() == [False, True, True]


@pytest.mark.parametrize("lines", [[line(2, 7, [3], [1])], [line(0, 5, [1, 2], [0, 1])] * 2])
def test_missing_and_repeated_lines(lines: list[dict[str, Any]]) -> None:
    """A gap or a repeat is an error, not a slightly different figure."""
    with pytest.raises(
        HeadwaterError, match=r"the metrics line of tick \d starts at event \d; expected \d.*run the replay"
    ):
        collect(lines)


def test_no_events_at_all() -> None:
    """A run without events has no models, and its curve no points."""
    run = collect([{"final": True}])
    assert measure(run) == {}
    assert curves(run).at == []


def test_curve_is_the_mean_of_its_window() -> None:
    """Each point is the HR@10 of the scored events in the window that ends there."""
    rng = np.random.default_rng(0)
    ranks = rng.integers(0, 20, 20_000)
    got = curves(run_of(ranks.tolist()), window=1000)
    assert (got.window, got.at[0], got.at[-1]) == (1000, 1000, 20_000)
    for at, value in zip(got.at, got.hr_at_10["m"], strict=True):
        window = ranks[at - 1000 : at]
        assert value == pytest.approx(np.mean(window[window > 0] <= 10), abs=1e-5)


def test_a_short_run_has_a_short_window() -> None:
    """A log of 40 events still has a curve; a window without a scored event has no value."""
    got = curves(run_of([0] * 20 + [1] * 20))
    assert got.window == 4
    assert (got.hr_at_10["m"][0], got.hr_at_10["m"][-1]) == (None, 1.0)


def test_progress_and_error() -> None:
    """Tick by tick hits add up to the whole; the standard error is the binomial one."""
    assert hits([0, 1, 10, 11, UNRANKED]) == (2, 4)
    assert standard_error(0.25, 7500) == pytest.approx(0.005)
    assert standard_error(0.0, 0) == 0.0
