"""The oracle: the whole loop as plain Python, without an engine; the job's lists equal its lists byte for byte."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from online.catalogue import ItemChange
from online.learner import Final, Learner, TickMetrics, UserList
from online.record import LATE, Record
from online.session import DeadLetter, fold_tick
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
    states: dict[str, UserState] = {}
    newest: dict[int, int] = {}
    open_ticks: dict[int, list[Record]] = {}
    late: list[DeadLetter] = []
    for record in records:
        high = newest.get(record.partition, record.at_ms)
        if record.at_ms < high - settings.lateness_ms:
            late.append(DeadLetter(record, LATE))
            continue
        newest[record.partition] = max(high, record.at_ms)
        open_ticks.setdefault(tick_of(record.at_ms, settings.tick_ms), []).append(record)
    for tick_ms in sorted(open_ticks):
        while waiting and waiting[-1].at_ms <= tick_ms:
            change = waiting.pop()
            if not learner.holds(change):
                learner.change(change)
        yield _close(tick_ms, open_ticks.pop(tick_ms), states, learner, settings)
    yield LoopResult([], late, final=learner.final())


def _close(
    tick_ms: int, records: list[Record], states: dict[str, UserState], learner: Learner, settings: Settings
) -> LoopResult:
    """Fold a tick as if it were one shard, which changes no list, then let the learner take it."""
    folded = fold_tick(0, tick_ms, records, states.get, settings)
    states |= folded.states
    lists, metrics = learner.step(tick_ms, [folded.share])
    return LoopResult(lists, folded.dead, metrics)
