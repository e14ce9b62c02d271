"""Laws of the whole loop: arrival order, duplicates and shards mean nothing, and no record vanishes."""

from hypothesis import given
from hypothesis import strategies as st

from online.catalogue import ItemChange
from online.loop import run_loop, tick_of
from online.record import Record
from online.session import fold_tick
from online.settings import Candidates
from state.user import UserState
from tests.small import (
    LATENESS_MS,
    START_MS,
    TICK_MS,
    Run,
    encoded,
    record,
    run,
    small_learner,
    small_settings,
    without_positions,
)
from tests.strategies import Timed, as_records, dirty_records, garbage, quick, shuffled, timelines

policies = st.sampled_from(["unseen", "not_in_basket", "all"])


def accounted(result: Run) -> int:
    assert result.final.accepted == sum(line.accepted for line in result.metrics)
    assert result.final.duplicates == sum(line.duplicates for line in result.metrics)
    return result.final.accepted + result.final.duplicates + len(result.dead)


@given(data=st.data(), timeline=timelines(), policy=policies)
@quick
def test_arrival_order_means_nothing(data: st.DataObject, timeline: list[Timed], policy: Candidates) -> None:
    """A log shuffled within the lateness bound, with garbage in it, gives equal lists, metrics and tables."""
    junk = data.draw(st.lists(garbage(never_events=True), max_size=4))
    records = sorted([*as_records(timeline), *junk], key=lambda one: one.at_ms)
    other = data.draw(shuffled(records))
    settings = small_settings(policy)
    one, two = run(records, settings), run(other, settings)
    assert "late" not in [letter.reason for letter in two.dead if not letter.record.flag]
    assert without_positions(one.lists) == without_positions(two.lists)
    assert one.metrics == two.metrics
    assert one.final == two.final
    dead = [sorted(repr((d.record[2:], d.reason)) for d in result.dead) for result in (one, two)]
    assert dead[0] == dead[1]


@given(data=st.data(), timeline=timelines(), policy=policies)
@quick
def test_events_sent_twice_change_nothing(data: st.DataObject, timeline: list[Timed], policy: Candidates) -> None:
    """Copies of events with the same ids change no list, no rank and no table but the count of duplicates."""
    settings = small_settings(policy)
    records = as_records(timeline)
    chosen = data.draw(st.lists(st.sampled_from(records), max_size=20))
    copies = data.draw(shuffled(sorted((one._replace(partition=1) for one in chosen), key=lambda one: one.at_ms)))
    once, twice = run(records, settings), run([*copies, *records], settings)
    assert once.lists == twice.lists
    assert [line.ranks for line in once.metrics] == [line.ranks for line in twice.metrics]
    assert twice.final.duplicates == len(copies)
    assert twice.final.accepted == len(records)
    assert accounted(twice) == len(records) + len(copies)


@given(records=dirty_records())
@quick
def test_nothing_vanishes(records: list[Record]) -> None:
    """accepted + duplicates + late + dead letters = records, always, and each dead letter has its record unchanged."""
    result = run(records)
    assert accounted(result) == len(records)
    places = [letter.record.offset for letter in result.dead]
    assert len(set(places)) == len(places)
    assert all(records[letter.record.offset] == letter.record for letter in result.dead)


@given(timeline=timelines(), shards=st.integers(1, 5))
@quick
def test_shards_change_no_list(timeline: list[Timed], shards: int) -> None:
    """Folding by shards, in any order of shards, gives the lists and tables of folding as one."""
    settings, learner = small_settings(), small_learner()
    ticks: dict[int, list[list[Record]]] = {}
    for one in as_records(timeline):
        parts = ticks.setdefault(tick_of(one.at_ms, TICK_MS), [[] for _ in range(shards)])
        parts[sum(one.key or b"") % shards].append(one)
    states: dict[str, UserState] = {}
    lists = []
    for tick_ms, parts in sorted(ticks.items()):
        folds = [fold_tick(number, tick_ms, part, states.get, settings) for number, part in enumerate(parts)]
        for folded in folds:
            states |= folded.states
        lists += learner.step(tick_ms, [folded.share for folded in reversed(folds)]).lists
    whole = run(as_records(timeline))
    assert lists == whole.lists
    assert learner.final() == whole.final


def test_late_is_a_property_of_the_partition() -> None:
    """A record older than the newest before it in its own partition by more than the bound is late, and only that."""
    times = [
        (0, START_MS), (0, START_MS + LATENESS_MS), (0, START_MS), (0, START_MS + LATENESS_MS + 1),
        (0, START_MS),  # late by 1 ms
        (1, START_MS),  # another partition
        (0, START_MS + 1),
    ]  # fmt: skip
    records = [record(n, at_ms, f"u{n}", "i00", partition) for n, (partition, at_ms) in enumerate(times)]
    result = run(records)
    assert [(d.record.offset, d.reason) for d in result.dead] == [(4, "late")]
    assert result.final.accepted == 6


def test_ticks() -> None:
    """A tick is named by its last millisecond."""
    assert tick_of(START_MS, TICK_MS) == tick_of(START_MS + TICK_MS - 1, TICK_MS) == START_MS + TICK_MS - 1
    assert tick_of(START_MS + TICK_MS, TICK_MS) == START_MS + 2 * TICK_MS - 1


def test_an_empty_log() -> None:
    """No records: no lists, totals of zero."""
    result = run([])
    assert (result.lists, result.metrics, result.final.accepted) == ([], [], 0)


@given(timeline=timelines(), order=st.permutations(range(3)))
@quick
def test_changes_hold_from_their_tick_on(timeline: list[Timed], order: list[int]) -> None:
    """A retired item is in no list from its tick on, and the order in which changes are given means nothing."""
    settings = small_settings("all")
    changes = [
        ItemChange(START_MS + 70_000, "i00", None),
        ItemChange(START_MS + 10, "i01", encoded(["x"], 3)[0]),
        ItemChange(START_MS + 200_000, "i00", encoded(["i00"])[0]),
    ]
    results = [
        [
            made
            for result in run_loop(as_records(timeline), small_learner(settings), settings, given)
            for made in result.lists
        ]
        for given in (changes, [changes[index] for index in order])
    ]
    assert results[0] == results[1]
    for made in results[0]:
        if START_MS + 70_000 <= made.at < START_MS + 200_000:
            assert "i00" not in made.items
