"""Laws of the view: a restart is invisible, an erased user is gone, and the list before is the one before."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.view.lines import batch, list_line, listed, measured, metrics_line, open_view
from view.arrivals import Arrived, Batch
from view.portrait import portrait
from view.store import Store
from view.view import View


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    """Yield an empty view."""
    made, store = open_view(tmp_path / "store")
    yield made
    store.close()


def arrivals() -> st.SearchStrategy[list[Arrived]]:
    """Draw outputs of a job: lists, events, withdrawals, dead letters, items and their retirement."""
    users, items = st.sampled_from(["a", "b", "ä/ü", "<b>"]), st.sampled_from([f"i{n}" for n in range(8)])
    lists = st.builds(
        lambda user, at, some: listed(list_line(user, at, " ".join(dict.fromkeys(some)))),
        users, st.integers(1, 50), st.lists(items, min_size=1, max_size=5),
    )  # fmt: skip
    events = st.builds(
        lambda user, item, at: measured(metrics_line(at, f"{user}:{item}")), users, items, st.integers(1, 50)
    )
    gone = st.builds(lambda user: listed(None, user, at_ms=1), users)
    dead = st.builds(
        lambda reason: Arrived("dead_letters", b"", json.dumps({"reason": reason}).encode(), 0),
        st.sampled_from(["late", "bad_json"]),
    )
    named = st.builds(
        lambda item: Arrived("items", item.encode(), json.dumps({"title": f"T {item}"}).encode(), 0), items
    )
    retired = st.builds(lambda item: Arrived("items", item.encode(), None, 0), items)
    return st.lists(st.one_of(lists, events, gone, dead, named, retired), max_size=30)


def state(view: View, store: Store) -> tuple[object, ...]:
    """Return all that a view has to say and to keep."""
    said = view.shown(0)
    del said["pulse"], said["version"]
    people = [portrait(view, user, 0, live=True) for user in ("a", "b", "ä/ü", "<b>", "nobody")]
    return said, people, view.fallback(), view.people.recent, view.positions, dict(store.scan(b""))


@given(records=arrivals(), cuts=st.sets(st.integers(0, 30), max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_restart_is_invisible(
    tmp_path_factory: pytest.TempPathFactory, records: list[Arrived], cuts: set[int]
) -> None:
    """Closed and opened again after any batch, the view goes on from the positions that it kept, and is the same."""
    whole, whole_store = open_view(tmp_path_factory.mktemp("whole") / "store")
    folder = tmp_path_factory.mktemp("cut") / "store"
    cut, cut_store = open_view(folder)
    for place, record in enumerate(records):
        whole.fold(Batch([record], {"all": place + 1}), 0)
        if place in cuts:
            cut_store.close()
            cut, cut_store = open_view(folder)
        assert cut.positions.get("all", 0) == place
        cut.fold(Batch([record], {"all": place + 1}), 0)
    assert state(whole, whole_store) == state(cut, cut_store)
    whole_store.close()
    cut_store.close()


@given(records=arrivals())
@settings(max_examples=30, deadline=None)
def test_coverage_is_what_a_count_says(tmp_path_factory: pytest.TempPathFactory, records: list[Arrived]) -> None:
    """The running count of listed items equals a count over all newest lists; it may not drift."""
    view, store = open_view(tmp_path_factory.mktemp("count") / "store")
    for place, record in enumerate(records):
        view.fold(Batch([record], {"all": place + 1}), 0)
    people = [view.people.get(user) for user in view.people.find("", 100)]
    assert view.shelf.listed == len({item for person in people if person and person.now for item in person.now.items})
    store.close()


def test_the_list_before(view: View) -> None:
    """It is the one that the newest replaced, and what moved is told by place."""
    view.fold(batch(listed(list_line("u", 1, "a b c"))), 0)
    assert portrait(view, "u", 0, live=True)["before"] is None
    view.fold(batch(listed(list_line("u", 2, "b d a"))), 0)
    told = portrait(view, "u", 0, live=True)
    assert [(each["item"], each["was"]) for each in told["items"]] == [("b", 2), ("d", None), ("a", 1)]
    assert [(each["item"], each["gone"]) for each in told["before"]["items"]] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]


def test_an_older_list_is_not_the_newest(view: View) -> None:
    """Parts of a folder may be read in any order; a list that came twice changes nothing."""
    for at in (5, 3, 1, 3, 5):
        view.fold(batch(listed(list_line("u", at, f"i{at}"))), 0)
    told = portrait(view, "u", 0, live=True)
    assert (told["at"], told["before"]["at"]) == (5, 3)


def test_events_newest_first_with_their_ranks(view: View) -> None:
    """A rank is where headwater had the item just before; an item outside the candidates has none."""
    view.fold(batch(measured(metrics_line(100, "u:a v:b u:c", f"3 1 {2**31 - 1}"))), 0)
    events = portrait(view, "u", 0, live=True)["events"]
    assert [(each["item"], each["rank"], each["at"], each["action"]) for each in events] == [
        ("c", None, 90, "click"),
        ("a", 3, 90, "click"),
    ]


def test_an_erased_user_is_gone(view: View, tmp_path: Path) -> None:
    """After a withdrawal nothing names the user: no list, no event that came before, no key of the store."""
    view.fold(batch(listed(list_line("secret-user", 1, "a b")), measured(metrics_line(1, "secret-user:a"), at_ms=5)), 0)
    view.fold(batch(listed(None, "secret-user", at_ms=9)), 0)
    view.fold(batch(measured(metrics_line(2, "secret-user:b"), at_ms=8)), 0)  # the other topic, read late
    assert view.people.get("secret-user") is None
    assert view.people.find("secret", 5) == []
    assert "secret-user" not in view.people.recent
    assert view.shelf.listed == 0
    assert not any(b"secret-user" in key + value for key, value in view._store.scan(b""))
    view.fold(batch(measured(metrics_line(3, "secret-user:c"), at_ms=10)), 0)  # who comes back begins anew
    assert [seen["item"] for seen in portrait(view, "secret-user", 0, live=True)["events"]] == ["c"]


def test_fallback_is_what_is_popular_now(view: View) -> None:
    """Newer events weigh more, retired items are left out, and so is what is not available yet."""
    old, new = " ".join(["u:old"] * 60), " ".join(["u:new"] * 50)
    view.fold(
        batch(
            measured(metrics_line(1, old)), measured(metrics_line(2, new)), measured(metrics_line(3, "u:gone " * 90))
        ),
        0,
    )
    view.fold(batch(Arrived("items", b"gone", None, 0), Arrived("items", b"soon", b'{"available_at": 99000}', 0)), 0)
    assert view.fallback() == ["new", "old"]


def test_freshness_counts_only_what_came_while_we_read(tmp_path: Path) -> None:
    """What lay in the topics before the start says nothing about how fresh lists are now; nor do times of the past."""
    start = 1_700_000_000_000
    view, store = open_view(tmp_path / "store", started_ms=start)
    view.fold(batch(measured(metrics_line(start - 1000, "u:a"), at_ms=start - 900)), start + 500)
    assert view.pulse.fresh.sum() == 0
    view.fold(batch(measured(metrics_line(start + 1000, "u:a"), at_ms=start + 1200)), start + 1290)
    view.fold(batch(measured(metrics_line(7, "u:a"), at_ms=start + 1300)), start + 1300)
    assert view.pulse.fresh.sum() == 1
    now = view.shown(start + 6000)["pulse"]["now"]
    assert 285 <= now["fresh_ms"]["p50"] <= 315  # 300 ms from the event to here
    store.close()
