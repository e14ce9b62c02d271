"""Laws of the learner: what a list may hold, what it names, and that prediction comes before learning."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.catalogue import Catalogue, ItemChange
from online.history import History
from online.kernels import UNRANKED
from online.learner import Learner, TickResult, identity
from online.session import fold_tick
from online.settings import Candidates, Learning, Settings
from state.tables import Tables, decode_tables, encode_tables, sha256_of
from state.user import UserState
from tests.small import (
    ITEMS,
    LEARNING,
    START_MS,
    TICK_MS,
    copy_of,
    encoded,
    record,
    run,
    small_catalogue,
    small_learner,
    small_settings,
)
from tests.strategies import Timed, as_records, quick, timelines

POLICIES: tuple[Candidates, ...] = ("unseen", "not_in_basket", "all")
MINUTE_MS = 60_000


class Stepper:
    """Folds and learns tick after tick, as the loop does, with a look at the users' histories on the way."""

    def __init__(self, settings: Settings, learner: Learner | None = None) -> None:
        self.settings = settings
        self.learner = learner or small_learner(settings)
        self.states: dict[str, UserState] = {}

    def tick(self, timeline: list[Timed], end_ms: int) -> TickResult:
        folded = fold_tick(0, end_ms, as_records(timeline), self.states.get, self.settings)
        self.states |= folded.states
        return self.learner.step(end_ms, [folded.share])


def end_of(at_ms: int) -> int:
    return at_ms - at_ms % TICK_MS + TICK_MS - 1


def by_tick(timeline: list[Timed]) -> list[tuple[int, list[Timed]]]:
    ticks: dict[int, list[Timed]] = {}
    for t in timeline:
        ticks.setdefault(end_of(t.at_ms), []).append(t)
    return sorted(ticks.items())


@pytest.mark.parametrize("policy", POLICIES)
@given(timeline=timelines(), retired=st.lists(st.tuples(st.integers(0, 8), st.sampled_from([*ITEMS, "new-1"]))))
@quick
def test_lists_hold_only_what_they_may(policy: Candidates, timeline: list[Timed], retired: list) -> None:  # type: ignore[type-arg]
    """No list holds an item excluded for its user, retired, or not available yet; no item twice; best first.

    Random histories under all three policies, items retired in mid-run, others that open in mid-run.
    """
    settings = small_settings(policy)
    opens_ms = {"i01": START_MS + 2 * MINUTE_MS, "i02": START_MS + 40 * MINUTE_MS}
    stepper = Stepper(settings, Learner(settings, small_catalogue(available_at_ms=opens_ms)))
    histories: dict[str, History[str]] = {}
    gone: set[str] = set()
    known = set(ITEMS)
    for number, (end_ms, events) in enumerate(by_tick(timeline)):
        for item in [item for at, item in retired if at == number and item in known]:
            stepper.learner.change(ItemChange(end_ms, item, None))
            gone.add(item)
        result = stepper.tick(events, end_ms)
        for t in sorted(events, key=lambda t: (t.at_ms, t.event_id)):
            history = histories.setdefault(t.user, History(None, policy, list))
            history.enter(t.at_ms, t.basket)
            history.advance(t.item, t.at_ms)
            known.add(t.item)
        waiting = {item for item, at_ms in opens_ms.items() if at_ms > end_ms}
        for made in result.lists:
            allowed = known - gone - waiting - set(histories[made.user].seen)
            assert set(made.items) <= allowed, made
            assert len(set(made.items)) == len(made.items) <= settings.top_k
            ranking = [(-score, item) for item, score in zip(made.items, made.scores, strict=True)]
            assert [score for score, _ in ranking] == sorted(score for score, _ in ranking)
            if len(allowed) >= settings.top_k:
                assert len(made.items) == settings.top_k


@given(timeline=timelines())
@quick
def test_a_list_names_its_causes(timeline: list[Timed]) -> None:
    """Each user who acted has one list per tick; it names the tick, the head, the model and the user's last event."""
    stepper = Stepper(small_settings())
    for end_ms, events in by_tick(timeline):
        result = stepper.tick(events, end_ms)
        last = {t.user: t for t in sorted(events, key=lambda t: (t.at_ms, t.event_id))}
        assert [made.user for made in result.lists] == sorted(last)
        for made in result.lists:
            assert (made.at, made.head, made.model_id) == (end_ms, end_ms, "random-8")
            assert made.after.event_id == last[made.user].event_id
            assert events[made.after.offset] == last[made.user]


def checkerboard(users: int = 40, items: int = 20) -> list[Timed]:
    """Every user takes all items of the user's parity but item number `user % items`, in random order, in turns."""
    rng = np.random.default_rng(11)
    orders = [rng.permutation([i for i in range(u % 2, items, 2) if i != u % items]) for u in range(users)]
    turns = [(user, int(orders[user][turn])) for turn in range(items // 2 - 1) for user in range(users)]
    return [
        Timed(START_MS + n * 2_000, f"u{user:02d}", f"i{item:02d}", f"e{n:04d}", "")
        for n, (user, item) in enumerate(turns)
    ]


def test_it_beats_popularity_on_a_checkerboard() -> None:
    """Even users like even items: the withheld item leads every last list, and popularity cannot tell the parities."""
    items = [f"i{n:02d}" for n in range(20)]
    settings = small_settings(learning=Learning(dim=6))
    result = run(as_records(checkerboard()), settings, Learner(settings, small_catalogue(items)))
    last = {made.user: made.items for made in result.lists}
    assert len(last) == 40
    assert [user for user, made in last.items() if made[0] != f"i{int(user[1:]) % 20:02d}"] == []
    half = result.metrics[len(result.metrics) // 2 :]
    mean = {
        model: np.mean([min(rank, 20) for line in half for rank in line.ranks[model]])
        for model in ("headwater", "popularity_all_time", "sequential_rules", "head")
    }
    assert mean["headwater"] < 0.6 * mean["popularity_all_time"]
    assert mean["headwater"] < mean["head"] + 0.5


def test_predict_then_learn() -> None:
    """An event's rank does not depend on what comes after it: a log that ends earlier has the same ranks so far."""
    records = as_records(checkerboard(8))
    whole = [line.ranks for line in run(records).metrics]
    cut = [line.ranks for line in run(records[:40]).metrics]
    per_batch = small_settings().learning.batch
    events = sum(len(ranks["headwater"]) for ranks in cut)
    assert events == 40
    for model in whole[0]:
        one = [rank for ranks in whole for rank in ranks[model]][: 40 - 40 % per_batch]
        assert [rank for ranks in cut for rank in ranks[model]][: len(one)] == one


def test_the_first_event_of_all_has_no_popular_rank() -> None:
    """Nothing was learned yet: masses know no item, the new user is not known; an item unknown so far is a miss."""
    line = run([record(0, START_MS, "u", "never seen"), record(1, START_MS + 1, "u", "never seen")]).metrics[0]
    assert line.past == [0, 1]
    assert line.ranks["popularity_all_time"] == [UNRANKED, 0]  # the second is a repeat: no list could hold it
    assert line.ranks["sequential_rules"] == [UNRANKED, 0]
    assert line.scored == 1
    assert line.items == len(ITEMS) + 1


def test_ranks_are_among_all_candidates() -> None:
    """Under `all` a repeat is scored; under `unseen` it is not."""
    records = [record(n, START_MS + n, "u", "i03") for n in range(3)]
    assert run(records, small_settings("all")).metrics[0].scored == 3
    assert run(records, small_settings("unseen")).metrics[0].ranks["headwater"][1:] == [0, 0]


def test_ties_go_by_item_id() -> None:
    """Items that no expert can tell apart stand in the order of their ids."""
    settings = small_settings()
    catalogue = Catalogue.build("m", ITEMS, np.ones((12, 8), np.float32), np.zeros(12, np.int64), 6)
    (made,) = run([record(0, START_MS, "u", "i05")], settings, Learner(settings, catalogue)).lists
    assert made.items == sorted(made.items)


def tables_of(learner: Learner) -> Tables:
    return decode_tables(dict(encode_tables(learner.tables())))


@pytest.mark.parametrize("changed", [False, True])
@given(timeline=timelines(), cut=st.integers(0, 20))
@quick
def test_storing_is_invisible(changed: bool, timeline: list[Timed], cut: int) -> None:
    """A learner made from another's tables gives equal lists, metrics and tables ever after.

    With `changed`, items were moved, retired and added before: vectors that experts only read are restored too.
    """
    whole, parts = Stepper(small_settings()), Stepper(small_settings())
    for number, (end_ms, events) in enumerate(by_tick(timeline)):
        if changed and number == 0:
            for stepper in (whole, parts):
                for item, seed in (("i03", 3), ("i04", None), ("new-2", 5)):
                    vector = None if seed is None else encoded([item], seed)[0]
                    stepper.learner.change(ItemChange(end_ms, item, vector))
        one, other = whole.tick(events, end_ms), parts.tick(events, end_ms)
        assert one == other
        if number == cut:
            restored = small_learner(parts.settings)
            restored.load(tables_of(parts.learner))
            assert restored.last_tick_ms == end_ms
            parts.learner = restored
    assert sha256_of(whole.learner.tables()) == sha256_of(parts.learner.tables())
    assert whole.learner.final() == parts.learner.final()


@pytest.mark.parametrize("vector", [3, None])
def test_a_change_alone_is_restored(vector: int | None) -> None:
    """A catalogue that has as many items as at the start may still be another one: lists tell."""
    settings = small_settings()
    stepper = Stepper(settings)
    stepper.learner.change(ItemChange(0, "i03", None if vector is None else encoded(["i03"], vector)[0]))
    stepper.tick([Timed(START_MS, "u", "i00", "e0", "")], end_of(START_MS))
    restored = Stepper(settings, small_learner(settings))
    restored.learner.load(tables_of(stepper.learner))
    restored.states = dict(stepper.states)
    more = [Timed(START_MS + TICK_MS, "u", "i01", "e1", "")], end_of(START_MS) + TICK_MS
    assert stepper.tick(*more) == restored.tick(*more)


@given(timeline=timelines())
@quick
def test_making_lists_leaves_no_trace(timeline: list[Timed]) -> None:
    """A learner that never makes a list learns the same tables: scoring users teaches nothing."""
    seen, unseen = Stepper(small_settings()), Stepper(small_settings())
    for end_ms, events in by_tick(timeline):
        one = seen.tick(events, end_ms)
        with mock.patch.object(Learner, "_make_lists", return_value=[]):
            other = unseen.tick(events, end_ms)
        assert one.lists and not other.lists
        assert one.metrics.ranks == other.metrics.ranks
    learned = [copy_of(stepper.learner.tables()) for stepper in (seen, unseen)]
    assert [name for name in learned[0] if learned[0][name].tobytes() != learned[1][name].tobytes()] == ["counts"]


def test_the_next_list_knows_the_update() -> None:
    """The same user with the same history gets other scores after others acted: no stale copy of the head serves."""
    stepper = Stepper(small_settings("all"))
    scores: list[list[float]] = []
    for number in range(4):
        events = [Timed(START_MS + number * TICK_MS, "u", "i00", f"u{number}", "")]
        events += [Timed(events[0].at_ms + n, f"v{n}", "i07", f"v{number}", "") for n in range(1, 30)]
        (made,) = [made for made in stepper.tick(events, end_of(events[0].at_ms)).lists if made.user == "u"]
        scores.append(made.scores)
    assert len({tuple(one) for one in scores}) == 4


@pytest.mark.parametrize(
    "other",
    [
        small_settings("all"),
        small_settings(domain="other"),
        small_settings(learning=replace(LEARNING, seed=8)),
        small_settings(learning=replace(LEARNING, half_lives=(1.0,))),
    ],
)
def test_identity_sees_every_setting(other: Settings) -> None:
    """Other settings are another identity; the same ones are the same."""
    name = identity(small_settings(), small_catalogue())
    assert name == identity(small_settings(), small_catalogue())
    assert name != identity(other, small_catalogue())


def test_identity_sees_items_and_vectors() -> None:
    """Other items or vectors are another identity."""
    settings = small_settings()
    name = identity(settings, small_catalogue())
    assert name != identity(settings, small_catalogue([*ITEMS, "z"]))
    moved = small_catalogue()
    moved.base[3, 2] += 1
    assert name != identity(settings, moved)
