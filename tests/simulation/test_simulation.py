"""Whatever the schedule, the job's outputs and state are the oracle's; and a defect that is planted is found."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import jobs.operators
from jobs.stores import MapStore
from online.process import LearnerProcess
from state.user import UserState, encode_user
from tests.simulation.flink import Keyed, Task, Topic
from tests.simulation.job import EventSource
from tests.simulation.schedule import Life, Schedule, live
from tests.simulation.world import write_catalogue

FEW, MANY = 200, 10_000  # seeds of every check, and of every change that is merged
FOUND_WITHIN = 300  # seeds in which a planted defect must show


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vectors of the initial catalogue."""
    return write_catalogue(tmp_path_factory.mktemp("vectors"))


def lives(seeds: range, vectors: Path) -> Iterator[tuple[int, Life]]:
    for seed in seeds:
        yield seed, live(seed, vectors)


def hold(seeds: range, vectors: Path) -> list[Life]:
    found = []
    for seed, life in lives(seeds, vectors):
        assert life.verdict, f"{life.verdict}\nto see it again: python -m tests.simulation --seed {seed}"
        found.append(life)
    return found


def test_no_schedule_shows(vectors: Path) -> None:
    """Crashes, restores and rescales at any moment change no byte of lists, dead letters, metrics or final state."""
    told = "\n".join(line for life in hold(range(FEW), vectors) for line in life.told)
    # The schedules do what they are for.
    assert len(re.findall("^crash before the commit$", told, re.MULTILINE)) > 5
    assert len(re.findall("^crash$", told, re.MULTILINE)) > 50
    for parallelism in (1, 2, 3):
        assert re.search(rf"start from checkpoint [1-9]\d* with parallelism {parallelism}", told)


@pytest.mark.slow
def test_no_schedule_of_many_shows(vectors: Path) -> None:
    """The same for all that CI has the time for; `make simulate SEEDS=1000000` is for a release."""
    hold(range(FEW, MANY), vectors)


def test_a_seed_is_a_life(vectors: Path) -> None:
    """A seed that fails can be seen again: equal seeds lead through equal steps."""
    for seed in range(20):
        assert live(seed, vectors) == live(seed, vectors)


def forget_ids(patch: pytest.MonkeyPatch) -> None:
    """The ids by which repeated events are known are not in a user's state."""

    def encode(state: UserState) -> bytes:
        return encode_user(msgspec.structs.replace(state, ids=b""))

    patch.setattr(jobs.operators, "encode_user", encode)


class Forgetful(LearnerProcess):
    """Begins a life without something of the one before."""

    forgets: str

    def _restore(self) -> None:
        super()._restore()
        getattr(self, self.forgets).clear()


def forget(attribute: str) -> Callable[[pytest.MonkeyPatch], None]:
    process = type("Process", (Forgetful,), {"forgets": attribute})
    return lambda patch: patch.setattr(jobs.operators, "LearnerProcess", process)


def learn_twice(patch: pytest.MonkeyPatch) -> None:
    """A fold leaves the inputs that it contains, and a restart learns them again."""

    class Process(LearnerProcess):
        def _fold(self) -> None:
            self._since_fold = []
            super()._fold()

    patch.setattr(jobs.operators, "LearnerProcess", Process)


def lose_a_block(patch: pytest.MonkeyPatch) -> None:
    """A fold does not write all of its tables."""

    class Process(LearnerProcess):
        def _fold(self) -> None:
            super()._fold()
            self._blocks.remove("counts/0")

    patch.setattr(jobs.operators, "LearnerProcess", Process)


def write_no_users(patch: pytest.MonkeyPatch) -> None:
    """Users' states stay in memory."""
    patch.setattr(MapStore, "put_all", lambda self, entries: None)


def keep_open_outputs(patch: pytest.MonkeyPatch) -> None:
    """A crash does not take back what no checkpoint holds."""
    patch.setattr(Topic, "abort", lambda self: None)


def drop_precommitted(patch: pytest.MonkeyPatch) -> None:
    """The restart aborts what a completed checkpoint holds: a transaction that timed out."""

    def commit(self: Schedule) -> None:
        if self.told[-1] == "crash before the commit":
            self._outputs.abort()
        original(self)

    original = Schedule._commit
    patch.setattr(Schedule, "_commit", commit)


def hold_no_channel_back(patch: pytest.MonkeyPatch) -> None:
    """Barriers are not aligned."""
    patch.setattr(Task, "ready", lambda self: [number for number, channel in enumerate(self.inputs) if channel])


def lose_timers(patch: pytest.MonkeyPatch) -> None:
    """A restart finds no timers."""
    original = Keyed.__init__

    def init(self: Keyed, states: Any, timers: Any = ()) -> None:
        original(self, states)

    patch.setattr(Keyed, "__init__", init)


def forget_the_newest(patch: pytest.MonkeyPatch) -> None:
    """What is late is decided anew after a restart."""
    original = EventSource.__init__

    def init(self: EventSource, *arguments: Any) -> None:
        original(self, *arguments)
        self.newest = [-(2**62)] * len(self.newest)

    patch.setattr(EventSource, "__init__", init)


DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "forgotten ids": (forget_ids, "torn"),
    "lost pending ticks": (forget("_waiting"), "lost"),
    "lost pending changes": (forget("_changes"), "torn"),
    "inputs learned twice": (learn_twice, "torn"),
    "a lost block": (lose_a_block, ""),
    "users not written": (write_no_users, "torn"),
    "outputs not taken back": (keep_open_outputs, "doubled"),
    "pre-committed outputs dropped": (drop_precommitted, "lost"),
    "barriers not aligned": (hold_no_channel_back, ""),
    "timers lost": (lose_timers, "lost"),
    "lateness forgotten": (forget_the_newest, ""),
}
"""Defect -> how it is planted, and of which kind one of its findings must be; "" where it may raise or be of any."""


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(monkeypatch: pytest.MonkeyPatch, vectors: Path, name: str) -> None:
    """One thing done wrong shows within some hundred seeds."""
    plant, kind = DEFECTS[name]
    plant(monkeypatch)
    for seed in range(FOUND_WITHIN):
        try:
            life = live(seed, vectors)
        except Exception:  # what the job itself notices is found too
            if kind:
                raise
            return
        if not life.verdict:
            assert not kind or life.verdict.count(kind), str(life.verdict)
            return
    raise AssertionError(f"{FOUND_WITHIN} seeds and nothing found")
