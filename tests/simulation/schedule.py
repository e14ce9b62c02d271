"""One seeded life of the job: deliveries in any order, checkpoints, crashes, restores, rescales; then the verdict."""

from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import jobs.operators
import online.process
from jobs.operators import DEAD_LETTERS, METRICS
from tests.faults.checker import Outcome, Seen, Verdict, check
from tests.faults.oracle import state_bytes
from tests.simulation.flink import Channel, States, Topic
from tests.simulation.job import (
    LISTS,
    ChangeSource,
    EventSource,
    LearnerTask,
    Outputs,
    SessionsTask,
    SourceState,
    messages,
    send_barrier,
    subtask_of,
)
from tests.simulation.world import World, expected, make_world

MOST_CRASHES = 8  # of one life, so that it ends
Action = tuple[str, int]


class Checkpoint(NamedTuple):
    """All state of the job as of one set of barriers."""

    number: int
    source: SourceState
    windows: dict[tuple[int, int], list[str]]
    users: States  # by shard
    learner: States
    timers: list[int]


class Life(NamedTuple):
    """What a seed led to."""

    verdict: Verdict
    crashes: int
    checkpoints: int
    told: list[str]  # what happened to the job, step by step


def live(seed: int, vectors: Path) -> Life:
    """Run the job of a seed to its end.

    Args:
        seed: of the world and of the schedule; equal seeds give equal lives.
        vectors: file of the initial catalogue.
    """
    world = make_world(seed)
    wanted = expected(world)
    with (
        mock.patch.object(online.process, "FOLD_EVENTS", world.fold_events),
        mock.patch.object(jobs.operators, "RECENT_BYTES", world.recent_bytes),
        mock.patch.object(jobs.operators, "tune_interpreter"),  # it would freeze what each of many lives leaves
    ):
        run = Schedule(world, vectors, Random(f"schedule {seed}"))
        run.to_the_end()
        actual = run.outcome()
    metrics = b"\n".join(message.value for message in wanted.metrics)
    outcome = wanted.outcome._replace(state={**wanted.outcome.state, "metrics": metrics})
    return Life(check(outcome, actual), run.crashes, run.completed.number, run.told)


class Schedule:
    """The job and what is done to it; every choice is the generator's."""

    def __init__(self, world: World, vectors: Path, random: Random) -> None:
        self._world, self._vectors, self._random = world, vectors, random
        self._outputs = Outputs()
        partitions = len(world.partitions)
        start = SourceState((0,) * partitions, (-(2**62),) * partitions, 0)
        self.completed = Checkpoint(0, start, {}, {}, {}, [])
        self._number = 0  # of the newest checkpoint that was begun
        self._uncommitted = False
        self._is_last = False
        self.crashes = 0
        self.told: list[str] = []
        self._crash_rate = random.choice((0.0, 0.003, 0.01, 0.05))
        self._checkpoint_rate = random.choice((0.01, 0.05, 0.2))
        # Some parts are slow: what is in flight at a barrier then differs from life to life.
        self._speed = {
            what: random.choice((1.0, 1.0, 0.1)) for what in ("poll", "mark", "change", "sessions", "learner")
        }
        self._start()

    def to_the_end(self) -> None:
        """Take steps until all outputs of all inputs are committed."""
        while not (self._is_last and self.completed.number == self._number and not self._uncommitted):
            self._step()

    def outcome(self) -> Outcome:
        """Return what readers have seen, and the state that a restart would find."""
        state = self.completed
        learner = LearnerTask(self._world.settings, self._vectors, [Channel()], state.learner, state.timers, Outputs())
        users = {user: raw for named in state.users.values() for user, raw in named.get("users", {}).items()}
        topics = self._outputs.topics
        metrics = b"\n".join(message.value for message in messages(topics[METRICS]))
        return Outcome(
            _seen(topics[LISTS]),
            _seen(topics[DEAD_LETTERS]),
            {**state_bytes(users, learner.tables()), "metrics": metrics},
        )

    def _start(self) -> None:
        """Build the job from the newest checkpoint, with as many Sessions subtasks as it happens to get."""
        world, state, random = self._world, self.completed, self._random
        shards = world.settings.shards
        parallelism = random.randint(1, min(3, shards))
        subtask = {shard: subtask_of(shard, shards, parallelism) for shard in range(shards)}
        self.told.append(f"start from checkpoint {state.number} with parallelism {parallelism}")
        self._events = EventSource(world.settings, world.partitions, state.source, self._outputs)
        self._changes = ChangeSource(world.changes, state.source.change)
        to_learner: list[Channel] = [Channel() for _ in range(parallelism)]
        self._events.channels = [Channel() for _ in range(parallelism)]
        self._sessions = [
            SessionsTask(
                world.settings,
                self._events.channels[number],
                to_learner[number],
                {window: list(lines) for window, lines in state.windows.items() if subtask[window[1]] == number},
                {shard: _copy(named) for shard, named in state.users.items() if subtask[shard] == number},
                self._outputs,
                random,
            )
            for number in range(parallelism)
        ]
        learner = {key: _copy(named) for key, named in state.learner.items()}
        inputs = [*to_learner, self._changes.channel]
        self._learner = LearnerTask(world.settings, self._vectors, inputs, learner, state.timers, self._outputs)
        self._events.epoch = self._learner.epoch = self._number
        for task in self._sessions:
            task.epoch = self._number
        self._parts: dict[str, Any] | None = None  # of the checkpoint that is being taken

    def _step(self) -> None:
        random = self._random
        if random.random() < self._crash_rate and self.crashes < MOST_CRASHES:
            return self._crash()
        if self._uncommitted and random.random() < 0.3:
            return self._commit()
        if self._parts is None and random.random() < self._checkpoint_rate:
            return self._begin_checkpoint()
        actions = self._actions()
        if actions:
            return self._do(random.choices(actions, [self._speed[what] for what, _ in actions])[0])
        if self._uncommitted:
            return self._commit()
        if self._parts is None:
            self._is_last = True
            self._begin_checkpoint()
        return None

    def _actions(self) -> list[Action]:
        actions: list[Action] = [("poll", number) for number in self._events.left()]
        if not self._events.is_over:
            actions.append(("mark", 0))
        if not self._changes.is_over:
            actions.append(("change", 0))
        for number, task in enumerate(self._sessions):
            actions += [("sessions", number)] if task.ready() else []
        actions += [("learner", number) for number in self._learner.ready()]
        return actions

    def _do(self, action: Action) -> None:
        what, number = action
        if what == "poll":
            self._events.poll(number)
        elif what == "mark":
            self._events.tell_mark()
        elif what == "change":
            self._changes.poll()
        elif what == "sessions":
            task = self._sessions[number]
            if (checkpoint := task.read(0)) is not None:
                self._taken(checkpoint, f"sessions {number}", task.snapshot())
                send_barrier([self._learner.inputs[number]], checkpoint)
        elif (checkpoint := self._learner.read(number)) is not None:
            self._taken(checkpoint, "learner", self._learner.snapshot())

    def _begin_checkpoint(self) -> None:
        self._number += 1
        events, changes = self._events, self._changes
        self._parts = {"source": SourceState(tuple(events.offsets), tuple(events.newest), changes.next)}
        events.epoch = self._number
        send_barrier([*events.channels, changes.channel], self._number)

    def _taken(self, checkpoint: int, task: str, state: Any) -> None:
        """Keep a task's part; with the last one the checkpoint is complete, and its outputs may be committed."""
        if self._parts is None or checkpoint != self._number:
            return
        self._parts[task] = state
        if len(self._parts) < len(self._sessions) + 2:
            return
        windows: dict[tuple[int, int], list[str]] = {}
        users: States = {}
        for number in range(len(self._sessions)):
            some_windows, some_users = self._parts[f"sessions {number}"]
            windows |= some_windows
            users |= some_users
        learner, timers = self._parts["learner"]
        self.completed = Checkpoint(checkpoint, self._parts["source"], windows, users, learner, timers)
        self._parts, self._uncommitted = None, True
        self.told.append(f"checkpoint {checkpoint} is complete")

    def _commit(self) -> None:
        self._outputs.commit(self.completed.number)
        self._uncommitted = False

    def _crash(self) -> None:
        """End all tasks at once; what a completed checkpoint holds is committed by the restart."""
        self.crashes += 1
        self._is_last = False
        self.told.append(f"crash{' before the commit' if self._uncommitted else ''}")
        self._commit()
        self._outputs.abort()
        self._start()


def _copy(named: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    return {name: dict(entries) for name, entries in named.items()}


def _seen(topic: Topic) -> list[Seen]:
    return [Seen(message.key, message.value, partition, offset) for partition, offset, message in topic.seen]
