"""Laws of delivered lists: the newest one before the event less the lag, by hand and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.evaluation.delivered import DeliveredList, gather
from online.evaluation.lists import actions, list_measures
from online.evaluation.serving import LAGS_MS, serving
from tests.outcomes import MISS, delivered, outcomes
from tests.strategies import quick

Lists = list[tuple[int, int, list[int]]]


def test_lists_as_columns() -> None:
    """Lists come in any order and length; an item that no event names has a place of its own."""
    run = outcomes([1, 1], user=[0, 1], item=[0, 1])
    lines = [DeliveredList("u1", 5, ["x", "i0"]), DeliveredList("u0", 9, ["i1"]), DeliveredList("u0", 7, [])]
    got = gather([*lines, DeliveredList("nobody", 1, ["i0"])], run)
    assert (got.user.tolist(), got.at_ms.tolist()) == ([0, 0, 1], [7, 9, 5])
    assert got.item[:, :3].tolist() == [[-1, -1, -1], [1, -1, -1], [2, 0, -1]]


def test_the_newest_list_counts() -> None:
    """A list of the event's own instant comes too late; one of another user is none."""
    lists = delivered((0, 10, [4]), (0, 20, [5]), (2, 15, [6]))
    user = np.array([0, 0, 0, 0, 1, 2], np.int32)
    assert lists.newest(user, np.array([10, 11, 20, 21, 99, 16])).tolist() == [-1, 0, 0, 1, -1, 2]
    assert delivered().newest(user, np.zeros(6, np.int64)).tolist() == [-1] * 6


@given(
    lists=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 40), st.lists(st.integers(0, 5), max_size=3, unique=True)),
        max_size=12,
        unique_by=lambda one: one[:2],
    ),
    events=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(0, 5)), max_size=12),
)
@quick
def test_against_a_plain_loop(lists: Lists, events: list[tuple[int, int, int]]) -> None:
    """Place and position of every event's item."""
    columns = delivered(*lists)
    user, at_ms, item = (np.array([event[k] for event in events], np.int32) for k in range(3))
    place = columns.newest(user, at_ms.astype(np.int64))
    position = columns.position(place, item)
    for k, (owner, at, wanted) in enumerate(events):
        own = [one for one in sorted(lists, key=lambda one: one[:2]) if one[0] == owner and one[1] < at]
        expected = own[-1][2].index(wanted) + 1 if own and wanted in own[-1][2] else 0
        assert position[k] == expected
        assert (place[k] >= 0) == bool(own)


def test_hits_by_lag() -> None:
    """Two users at second 100: one's newest list holds the item, the older one does not; the other has none."""
    run = outcomes([2, 3], user=[0, 1], item=[7, 7], at_ms=[100_000, 100_000])
    got = serving(run, delivered((0, 98_000, [1, 7]), (0, 30_000, [1])))
    lags = {lag["lag"]: lag for lag in got["lags"]}
    assert list(lags) == list(LAGS_MS)
    assert [lags[lag]["hr@10"] for lag in LAGS_MS] == [0.5, 0.5, 0, 0, 0, 0, 0]
    assert [lags[lag]["with_list"] for lag in LAGS_MS] == [0.5] * 4 + [0] * 3
    assert (lags["0 s"]["hr@10_with_list"], lags["0 s"]["ndcg@10"]) == (1, pytest.approx(0.5 / np.log2(3), abs=1e-6))
    assert got["ranked"]["hr@10"] == 1


def test_hits_by_age_of_the_list() -> None:
    """A list of 2 s that hits, one of 2 h that does not though the item ranked fifth, and a user without one."""
    run = outcomes([50, 5, 1], user=[0, 1, 2], item=[7, 7, 7], at_ms=[9_000_000] * 3)
    ages = serving(run, delivered((0, 8_998_000, [7]), (1, 1_800_000, [8])))["ages"]
    assert {one["age"]: (one["n"], one["hr@10"], one["ranked_hr@10"]) for one in ages if one["n"]} == {
        "to 1 min": (1, 1.0, 0.0),
        "to 1 day": (1, 0.0, 1.0),
        "no list": (1, 0.0, 1.0),
    }


def test_what_is_not_scored_is_not_served() -> None:
    """A repeat that no list could hold is no miss."""
    got = serving(outcomes([0, 0, MISS], item=[1, 1, 1]), delivered((0, 500, [1])))
    assert (got["n"], got["lags"][0]["hr@10"]) == (1, 1.0)


def test_measures_of_lists_by_hand() -> None:
    """One list of [1, 2, 3]; then the user takes 3, 9 and 3 again, and the next list shows 1."""
    run = outcomes([1] * 4, item=[0, 3, 9, 3], at_ms=[0, 2000, 3000, 4000], catalogue=10)
    got = list_measures(run, delivered((0, 1000, [1, 2, 3]), (0, 5000, [1])))
    assert (got["lists"], got["followed_lists"]) == (2, 1)
    assert got["precision@10"] == 0.1
    assert got["recall@10"] == 0.5
    assert got["f1@10"] == pytest.approx(2 / 12, abs=1e-6)
    assert got["map@10"] == pytest.approx(1 / 3 / 2, abs=1e-6)  # at place 3, of two relevant items
    assert got["hit@10"] == 1
    assert got["coverage@10"] == 0.3
    assert got["top_1_percent_of_lists"] == 0.25  # item 3 has most events: one of the four items shown
    assert got["top_1_percent_of_events"] == 0.5
    shown = [11, 11, 11, 14]  # events + catalogue when each item was shown; none had an event by then
    assert got["novelty_bits"] == pytest.approx(np.mean(np.log2(shown)), abs=1e-6)
    events = [10 / 1, 11 / 1, 12 / 1, 13 / 2]
    assert got["novelty_bits_of_events"] == pytest.approx(np.mean(np.log2(events)), abs=1e-6)


def test_conversion_by_action() -> None:
    """Of two lists one led to a purchase and two views of what it showed; another view was of something else."""
    run = outcomes(
        [1, 2, 11, 1], item=[3, 3, 9, 2], at_ms=[2000, 2500, 3000, 4000], action=["view", "buy", "view", "view"]
    )
    got = {each["action"]: each for each in actions(run, delivered((0, 1000, [1, 2, 3]), (0, 5000, [1])))}
    assert list(got) == ["buy", "view"]
    assert (got["view"]["events"], got["view"]["converted_lists"], got["view"]["conversion"]) == (3, 1, 0.5)
    assert (got["view"]["hr@10"], got["buy"]["hr@10"]) == (pytest.approx(2 / 3, abs=1e-6), 1)
    assert got["buy"]["conversion"] == 0.5


def test_no_lists_and_no_events() -> None:
    """Nothing was shown: nothing is known of it, and nothing fails."""
    run = outcomes([1, 2])
    assert list_measures(run, delivered())["followed_lists"] == 0
    assert serving(run, delivered())["lags"][0]["hr@10"] == 0
    assert list_measures(outcomes([]), delivered())["lists"] == 0
