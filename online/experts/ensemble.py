"""A line-up at work: batches pass it in turn, and its slow experts, on threads of their own, are a batch ahead."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from online.batch import Batch
from online.experts.lineup import Lineup

_WORTH = 16  # events of a batch from which on a thread pays for its two hand-overs of some 30 us


class Prepared(NamedTuple):
    """A batch, and the states of all parts of the line-up that are ready for its events."""

    batch: Batch
    states: tuple[Any, ...]


class Ensemble:
    """A line-up, made ready for batch after batch.

    No bit depends on the threads: a slow expert's calls keep their order, each on one thread, and it shares nothing
    that the events' loop changes.
    """

    def __init__(self, lineup: Lineup) -> None:
        self.lineup = lineup
        self._threads = {expert.name: ThreadPoolExecutor(1, f"expert-{expert.name}") for expert in lineup.slow}

    def passing(self, batches: Iterable[Batch], learns: bool) -> Iterator[Prepared]:
        """Yield each batch when all parts are ready for it; its events must have passed before the next is asked for.

        The slow experts learn it too, if `learns`: they are done with it, and with the next, while its events pass.
        """
        ahead: Callable[[], Prepared] | None = None
        calls: list[Future[Any]] = []  # of this pass, on the threads
        for batch in batches:
            scoring = self._score(batch, learns, calls)
            if ahead:
                yield ahead()
            ahead = partial(self._prepare, batch, scoring)
        if ahead:
            yield ahead()
        for call in calls:
            call.result()  # raises what went wrong there

    def _score(self, batch: Batch, learns: bool, calls: list[Future[Any]]) -> dict[str, Callable[[], Any]]:
        """Let the slow experts score the batch, and then learn it; return their states, when they are there."""
        scoring: dict[str, Callable[[], Any]] = {}
        alone = not calls and len(batch.target) < _WORTH
        for expert in self.lineup.slow:
            if alone:
                scoring[expert.name] = partial(_same, expert.prepare(batch))
                if learns:
                    expert.learn(batch)
                continue
            thread = self._threads[expert.name]
            calls.append(thread.submit(expert.prepare, batch))
            scoring[expert.name] = calls[-1].result
            if learns:
                calls.append(thread.submit(expert.learn, batch))
        return scoring

    def _prepare(self, batch: Batch, scoring: dict[str, Callable[[], Any]]) -> Prepared:
        parts = self.lineup.parts
        states = [None if part.name in scoring else part.prepare(batch) for part in parts]
        slow = [scoring[part.name]() if part.name in scoring else None for part in parts]
        return Prepared(batch, tuple(b if a is None else a for a, b in zip(states, slow, strict=True)))


def _same(state: Any) -> Any:
    return state
