"""The oracle: the whole loop as plain Python, without an engine; the job's lists equal its lists byte for byte."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from online.catalogue import ItemChange
from online.learner import Final, Learner, TickMetrics, UserList
from online.record import LATE, Record
from online.session import DeadLetter, Folded, fold_tick
from online.settings import Settings
from state.user import UserState


class LoopResult(NamedTuple):
    """What one tick leads to; `final` comes once, after the last tick, with nothing else."""

    lists: list[UserList]
    dead: list[DeadLetter]
    metrics: TickMetrics | None = None
    final: Final | None = None


def tick_of(at_ms: int, tick_ms: int) -> int:
    """Return the last millisecond of the tick that `at_ms` falls into."""
    return at_ms - at_ms % tick_ms + tick_ms - 1


def run_loop(
    records: Iterable[Record], learner: Learner, settings: Settings, changes: Iterable[ItemChange] = ()
) -> Iterator[LoopResult]:
    """Run the loop over a bounded log and yield tick after tick.

    A record older than the newest before it in its partition by more than the lateness bound is late; it ends in the
    dead letters.

    Args:
        records: in the order of each partition.
        learner: at its start, or restored.
        settings: of the loop, the same that the learner has.
        changes: of the catalogue, in any order.
    """
    waiting = sorted(changes, key=lambda change: (change.at_ms, change.item), reverse=True)
    late: list[DeadLetter] = []
    for tick_ms, folded in fold_ticks(records, settings, late):
        while waiting and waiting[-1].at_ms <= tick_ms:
            change = waiting.pop()
            if not learner.holds(change):
                learner.change(change)
        lists, metrics = learner.step(tick_ms, [folded.share])
        yield LoopResult(lists, folded.dead, metrics)
    yield LoopResult([], late, final=learner.final())


def fold_ticks(
    records: Iterable[Record], settings: Settings, late: list[DeadLetter] | None = None
) -> Iterator[tuple[int, Folded]]:
    """Yield tick after tick of a bounded log, folded as if it were one shard, which changes no list.

    Args:
        records, settings: see `run_loop`.
        late: gets the late records.
    """
    states: dict[str, UserState] = {}
    newest: dict[int, int] = {}
    open_ticks: dict[int, list[Record]] = {}
    for record in records:
        high = newest.get(record.partition, record.at_ms)
        if record.at_ms < high - settings.lateness_ms:
            if late is not None:
                late.append(DeadLetter(record, LATE))
            continue
        newest[record.partition] = max(high, record.at_ms)
        open_ticks.setdefault(tick_of(record.at_ms, settings.tick_ms), []).append(record)
    for tick_ms in sorted(open_ticks):
        folded = fold_tick(0, tick_ms, open_ticks.pop(tick_ms), states.get, settings)
        states |= folded.states
        yield tick_ms, folded
