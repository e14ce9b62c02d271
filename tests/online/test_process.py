"""Laws of the learner's life: a restart anywhere is invisible, and stores that are not whole are refused."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import online.process
from online.catalogue import ItemChange
from online.learner import Final, TickResult, identity
from online.loop import run_loop, tick_of
from online.process import LearnerProcess
from online.record import Record
from online.session import fold_tick
from state.errors import CorruptBytes, HeadwaterError, UnknownSchema
from state.tick import encode_share
from state.user import UserState
from tests.golden.check import check_golden
from tests.small import ITEMS, START_MS, TICK_MS, encoded, small_catalogue, small_learner, small_settings
from tests.strategies import Timed, as_records, quick, timelines

SETTINGS = small_settings()
IDENTITY = identity(SETTINGS, small_catalogue())


class DictStore(dict[str, bytes]):
    """`online.process.Store` in memory."""

    def put(self, key: str, value: bytes) -> None:
        self[key] = value

    def remove(self, key: str) -> None:
        self.pop(key, None)

    def items(self) -> Iterator[tuple[str, bytes]]:  # type: ignore[override]
        """In another order than that of writing, as Flink's map state."""
        return iter(sorted(super().items(), key=lambda item: item[0][::-1]))


class Stores(NamedTuple):
    inputs: DictStore
    blocks: DictStore

    def copy(self) -> "Stores":
        """Return what a checkpoint would hold."""
        return Stores(DictStore(self.inputs), DictStore(self.blocks))


def start(stores: Stores, name: str = IDENTITY) -> LearnerProcess:
    return LearnerProcess(small_learner, name, stores.inputs, stores.blocks)


Op = bytes | ItemChange | int  # a share, a change, or a tick that is over


def operations(records: list[Record], changes: list[tuple[int, ItemChange]]) -> list[Op]:
    """Return what a learner sees: shares of three shards, changes before operation number so-and-so, then each tick.

    Shares of the next tick arrive before a tick is over, as they do in a job.
    """
    states: dict[str, UserState] = {}
    ticks: dict[int, list[list[Record]]] = {}
    for one in records:
        parts = ticks.setdefault(tick_of(one.at_ms, TICK_MS), [[] for _ in range(3)])
        parts[sum(one.key or b"") % 3].append(one)
    arrivals: list[list[Op]] = []
    for tick_ms, shards in sorted(ticks.items()):
        shares: list[Op] = []
        for shard, part in enumerate(shards):
            folded = fold_tick(shard, tick_ms, part, states.get, SETTINGS)
            states |= folded.states
            shares.append(encode_share(folded.share))
        arrivals.append([*shares, tick_ms])
    for tick, after in pairwise(arrivals):
        tick.insert(-1, after.pop(0))
    ops = [op for tick in arrivals for op in tick]
    for at, change in sorted(changes, key=lambda entry: entry[0], reverse=True):
        ops.insert(min(at, len(ops) - 1), change)
    return ops


def drive(process: LearnerProcess, op: Op) -> TickResult | None:
    if isinstance(op, bytes):
        assert process.on_share(op) % TICK_MS == tick_of(0, TICK_MS) % TICK_MS
        return None
    if isinstance(op, ItemChange):
        process.on_change(op)
        return None
    return process.on_tick(op)


def play(ops: list[Op], restarts: set[int], stores: Stores | None = None) -> tuple[list[TickResult], Final]:
    """Return all that came out; before each operation in `restarts` a new process takes over copies of the stores."""
    stores = stores or Stores(DictStore(), DictStore())
    process = start(stores)
    results = []
    for number, op in enumerate(ops):
        if number in restarts:
            stores = stores.copy()
            process = start(stores)
        result = drive(process, op)
        if result is not None:
            results.append(result)
    if len(ops) in restarts:
        process = start(stores.copy())
    return results, process.on_end()


def eventful(ticks: int = 7) -> list[Op]:
    """A run with new, moved, retired and reopened items, and a user in every shard."""
    rng = np.random.default_rng(1)
    users = ("ann", "bob", "cid", "dan")
    timeline = [
        Timed(START_MS + n * TICK_MS // 6, users[n % 4], [*ITEMS, "new-9"][int(rng.integers(13))], f"e{n:03d}", "")
        for n in range(6 * ticks)
    ]
    changes = [
        (0, ItemChange(START_MS - 5, "i02", encoded(["i02"], 9)[0])),
        (1, ItemChange(START_MS - 5, "i08", None)),
        (3, ItemChange(START_MS + 3 * TICK_MS, "new-1", encoded(["new-1"], 7)[0])),
        (9, ItemChange(START_MS + TICK_MS, "i03", None)),
        (13, ItemChange(START_MS + 4 * TICK_MS, "i03", encoded(["i03"], 4)[0])),
        (17, ItemChange(START_MS + 4 * TICK_MS, "i05", encoded(["i05"], 5)[0])),
        (20, ItemChange(START_MS + 90 * TICK_MS, "i06", None)),  # waits beyond the end
    ]
    return operations(as_records(timeline), changes)


@pytest.mark.parametrize("fold_events", [1, 10, 10_000])
def test_a_restart_anywhere_is_invisible(fold_events: int) -> None:
    """Cut before any share, change or tick: the same lists, metrics and final fingerprint as without a restart.

    Tables are folded after every tick, now and then, or never; items come, move, go and come back.
    """
    with mock.patch.object(online.process, "FOLD_EVENTS", fold_events):
        ops = eventful()
        expected = play(ops, set())
        assert len(expected[0]) == 7
        for cut in range(len(ops) + 1):
            assert play(ops, {cut}) == expected, f"a restart before operation {cut} of {len(ops)} shows"
        assert play(ops, set(range(len(ops) + 1))) == expected


@given(
    timeline=timelines(),
    cuts=st.sets(st.integers(0, 60)),
    fold_events=st.sampled_from([1, 5, 10_000]),
    changes=st.lists(
        st.tuples(
            st.integers(0, 60), st.integers(-1, 40), st.sampled_from(["i01", "i02", "new-1"]), st.none() | st.just(3)
        ),
        max_size=6,
    ),
)
@quick
def test_restarts_are_invisible_in_any_run(
    timeline: list[Timed], cuts: set[int], fold_events: int, changes: list[tuple[int, int, str, int | None]]
) -> None:
    """The same for random logs, random changes, early and late, and any number of restarts."""
    timed = [
        (at, ItemChange(START_MS + minute * TICK_MS, item, None if seed is None else encoded([item], seed)[0]))
        for at, minute, item, seed in changes
    ]
    with mock.patch.object(online.process, "FOLD_EVENTS", fold_events):
        ops = operations(as_records(timeline), timed)
        assert play(ops, cuts) == play(ops, set())


@given(
    timeline=timelines(),
    changes=st.lists(
        st.tuples(
            st.integers(0, 60), st.integers(-1, 40), st.sampled_from(["i01", "i02", "new-1"]), st.none() | st.just(3)
        ),
        max_size=6,
        unique_by=lambda change: change[1:3],
    ),
)
@quick
def test_the_process_equals_the_oracle(timeline: list[Timed], changes: list[tuple[int, int, str, int | None]]) -> None:
    """A change that arrives early, at any moment before its tick, leads to the oracle's lists and tables."""
    timed = [
        ItemChange(START_MS + minute * TICK_MS, item, None if seed is None else encoded([item], seed)[0])
        for _, minute, item, seed in changes
    ]
    ops: list[Op] = [*timed, *operations(as_records(timeline), [])]
    results, final = play(ops, set())
    oracle = list(run_loop(as_records(timeline), small_learner(), SETTINGS, timed))
    assert [made for result in results for made in result.lists] == [made for one in oracle for made in one.lists]
    assert final == oracle[-1].final


def calm() -> list[Timed]:
    """One event a tick; new-1 is introduced by the first."""
    acts = [("ann", "new-1"), ("bob", "i01"), ("bob", "i02"), ("cid", "i03"), ("ann", "i07")]
    return [Timed(START_MS + n * TICK_MS, user, item, f"e{n}", "") for n, (user, item) in enumerate(acts)]


@pytest.mark.parametrize(
    "changes",
    [
        [ItemChange(START_MS + 2 * TICK_MS, "new-1", None)],  # retired, but introduced before
        [ItemChange(START_MS + 3 * TICK_MS, "i04", encoded(ITEMS)[4]), ItemChange(START_MS + TICK_MS, "i04", None)],
    ],
    ids=["unknown yet", "nothing new yet"],
)
def test_a_change_that_says_nothing_yet_is_kept(changes: list[ItemChange]) -> None:
    """Whether a change is void is known at its tick, not when it arrives."""
    results, final = play([*changes, *operations(as_records(calm()), [])], set())
    oracle = list(run_loop(as_records(calm()), small_learner(), SETTINGS, changes))
    assert [made for result in results for made in result.lists] == [made for one in oracle for made in one.lists]
    assert final == oracle[-1].final


def test_a_repeated_change_hides_none_before_it() -> None:
    """Two changes of one item with one time, before and after a tick: a restart applies each at its own tick."""
    ops = [ItemChange(START_MS - 5, "i04", None), *operations(as_records(calm()), [])]
    first_tick = next(number for number, op in enumerate(ops) if isinstance(op, int))
    ops.insert(first_tick + 1, ItemChange(START_MS - 5, "i04", encoded(["i04"], 8)[0]))
    expected = play(ops, set())
    assert [result.metrics.changed for result in expected[0]][:2] == [["i04"], ["i04"]]
    for cut in range(len(ops) + 1):
        assert play(ops, {cut}) == expected


def test_inputs_are_forgotten_once_folded() -> None:
    """Keyed state stays bounded: after a fold only what waits for a later tick is kept."""
    stores = Stores(DictStore(), DictStore())
    with mock.patch.object(online.process, "FOLD_EVENTS", 1):
        play(eventful(), set(), stores)
    assert [key[0] for key in stores.inputs] == ["c"]  # the change beyond the end


def test_a_fold_writes_only_what_changed() -> None:
    """Blocks of tables that stayed as they were are not written again, before and after a restart."""
    stores = Stores(DictStore(), DictStore())
    with mock.patch.object(online.process, "FOLD_EVENTS", 1):
        ops = eventful()
        play(ops, set(), stores)
        written: list[str] = []
        stores = stores.copy()
        with mock.patch.object(DictStore, "put", lambda self, key, value: written.append(key)):
            process = start(stores)
            process._learner.step(START_MS + 99 * TICK_MS, [])
            process._fold()
    assert written == ["counts/0"]


def test_a_timer_that_comes_twice_does_nothing() -> None:
    """A tick is learned once, whoever calls and how often."""
    ops = eventful()
    stores = Stores(DictStore(), DictStore())
    process = start(stores)
    tick = next(op for op in ops if isinstance(op, int))
    for op in ops[: ops.index(tick)]:
        drive(process, op)
    assert drive(process, tick) is not None
    assert drive(process, tick) is None
    assert drive(start(stores.copy()), tick) is None
    assert drive(process, tick + 5 * TICK_MS) is None


def whole_stores() -> Stores:
    """Stores in mid-life: folded tables, learned and waiting inputs, a waiting change."""
    stores = Stores(DictStore(), DictStore())
    with mock.patch.object(online.process, "FOLD_EVENTS", 20):
        play(eventful()[:-2], set(), stores)
    kinds = {key[0] for key in stores.inputs}
    assert kinds == {"a", "c", "s"} and "standing" in stores.blocks and len(stores.blocks) > 10
    return stores


def test_garbled_stores_are_refused() -> None:
    """One flipped bit or a cut in any stored value, tables, inputs, changes or standing: the process does not start."""
    stores = whole_stores()
    for number in (0, 1):
        for key, value in stores[number].items():
            for damaged in (value[:-1], bytes([*value[:-1], value[-1] ^ 1]), b"", value[:7]):
                torn = stores.copy()
                torn[number][key] = damaged
                with pytest.raises((CorruptBytes, UnknownSchema)):
                    play_waiting(torn)


def play_waiting(stores: Stores) -> None:
    """A waiting share is read when its tick is over."""
    process = start(stores)
    for tick_ms in list(process._waiting):
        process.on_tick(tick_ms)


def test_missing_blocks_are_refused() -> None:
    """A store that lost a block of a table does not start as if the table were empty."""
    stores = whole_stores()
    for key in stores.blocks:
        if key == "standing":
            continue
        torn = stores.copy()
        del torn.blocks[key]
        with pytest.raises(CorruptBytes, match="restore an earlier savepoint"):
            start(torn)


def test_another_identity_is_refused() -> None:
    """State learned under other settings, items or vectors is refused with what to do."""
    stores = whole_stores()
    with pytest.raises(
        HeadwaterError,
        match=f"was learned under identity {IDENTITY[:12]}; this job has other: settings, items, vectors or the model "
        "differ; restore with the configuration .* or start without the state",
    ):
        start(stores, "other")


def test_golden_change() -> None:
    """Version 1 of a stored change is read as it was written."""
    change = online.process._Change(
        item="dée", at_ms=START_MS, vector=np.array([1.5, -2], "<f4").tobytes(), applied_ms=0
    )
    raw = check_golden("change-1", online.process._encode_change(change))
    stores = Stores(DictStore({f"c{START_MS:016d}/dée": raw}), DictStore())
    assert list(start(stores)._changes.values()) == [change]
