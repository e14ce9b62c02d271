"""Laws of a user's past: what may not be shown again, under each candidate policy."""

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

import online.history
from online.history import SESSION_IDLE_MS, History, state_of
from online.settings import Candidates
from state.user import RECENT_MAX, WINDOW_MAX, HistoryState
from tests.strategies import Timed, quick, timelines


def follow(
    candidates: Candidates, events: list[tuple[int, str, str]], history: History[str] | None = None
) -> History[str]:
    history = history or History(None, candidates, list)
    for at_ms, item, basket in events:
        history.enter(at_ms, basket)
        history.advance(item, at_ms)
    return history


@given(timeline=timelines())
@quick
def test_unseen_excludes_all_ever_consumed(timeline: list[Timed]) -> None:
    """Under `unseen` an item is excluded exactly when it was consumed; under `all`, never."""
    events = [(t.at_ms, t.item, t.basket) for t in timeline]
    unseen, free = follow("unseen", events), follow("all", events)
    consumed = [t.item for t in timeline]
    assert unseen.seen == list(dict.fromkeys(consumed))
    assert all(unseen.excludes(item) and not free.excludes(item) for item in consumed)
    assert not unseen.excludes("never")
    assert unseen.recent == free.recent == consumed
    assert unseen.events == len(consumed)


@given(timeline=timelines())
@quick
def test_not_in_basket_excludes_the_current_basket(timeline: list[Timed]) -> None:
    """Under `not_in_basket` the excluded items are those since the newest change of basket, or 30 min of idleness."""
    history: History[str] = History(None, "not_in_basket", list)
    expected: list[str] = []
    before: Timed | None = None
    for t in timeline:
        if before is not None:
            named = t.basket or before.basket
            if (named and t.basket != before.basket) or (not named and t.at_ms - before.at_ms > SESSION_IDLE_MS):
                expected = []
        history.enter(t.at_ms, t.basket)
        assert history.seen == expected
        history.advance(t.item, t.at_ms)
        expected += [t.item] if t.item not in expected else []
        before = t
    assert history.seen == expected


def test_baskets_and_sessions() -> None:
    """A new basket starts empty however soon; a named one lasts however long; without names, 30 min end a session."""
    minute = 60_000
    assert follow("not_in_basket", [(0, "a", "1"), (1, "b", "2")]).seen == ["b"]
    assert follow("not_in_basket", [(0, "a", "1"), (500 * minute, "b", "1")]).seen == ["a", "b"]
    assert follow("not_in_basket", [(0, "a", ""), (30 * minute, "b", "")]).seen == ["a", "b"]
    assert follow("not_in_basket", [(0, "a", ""), (30 * minute + 1, "b", "")]).seen == ["b"]
    assert follow("not_in_basket", [(0, "a", "1"), (1, "b", "")]).seen == ["b"]


@pytest.mark.parametrize("candidates", ["unseen", "not_in_basket", "all"])
@given(timeline=timelines())
@quick
def test_each_item_is_in_its_basket(candidates: Candidates, timeline: list[Timed]) -> None:
    """Baskets are numbered in their order, each item has its basket's number, and numbers outlive storing."""
    history: History[str] = History(None, candidates, list)
    names: list[int] = []
    for before, t in zip([None, *timeline], timeline, strict=False):
        if before is None:
            over = True
        elif t.basket or before.basket:
            over = t.basket != before.basket
        else:
            over = t.at_ms - before.at_ms > SESSION_IDLE_MS
        names.append((names[-1] if names else -1) + over)
        history.enter(t.at_ms, t.basket)
        assert history.basket_number == (names[-1] if candidates == "not_in_basket" else (names[-2:-1] or [-1])[0])
        history.advance(t.item, t.at_ms)
    assert history.baskets == names
    assert History(state_of(history), candidates, list).baskets == names


def test_a_state_without_baskets_is_one_basket() -> None:
    """States of version 1 did not tell baskets: all that they hold counts as one."""
    history = History(HistoryState(3, 5, "b", ("x", "y"), ()), "not_in_basket", list)
    assert (history.baskets, history.basket_number) == ([0, 0], 0)


@pytest.mark.parametrize("candidates", ["unseen", "not_in_basket", "all"])
@given(timeline=timelines(), cut=st.integers(0, 30))
@quick
def test_storing_is_invisible(candidates: Candidates, timeline: list[Timed], cut: int) -> None:
    """A past that was stored and taken up again goes on as if nothing had been."""
    events = [(t.at_ms, t.item, t.basket) for t in timeline]
    stored = state_of(follow(candidates, events[:cut]))
    resumed = follow(candidates, events[cut:], History(stored, candidates, list))
    assert state_of(resumed) == state_of(follow(candidates, events))


def test_memory_is_bounded() -> None:
    """Beyond SEEN_MAX the oldest exclusion is forgotten; recent items are few; a late event moves no clock."""
    with mock.patch.object(online.history, "SEEN_MAX", 3):
        history = follow("unseen", [(n, f"i{n}", "") for n in range(100)])
    assert history.seen == ["i97", "i98", "i99"]
    assert not history.excludes("i96") and history.excludes("i97")
    assert state_of(history).recent == tuple(f"i{n}" for n in range(100))[-WINDOW_MAX:]
    assert len(state_of(follow("all", [(n, f"i{n}", "") for n in range(3000)])).recent) == RECENT_MAX
    history.enter(5, "")
    history.advance("x", 5)
    assert history.last_ms == 99
