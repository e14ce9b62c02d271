"""The contracts of what scores items: a signal describes candidates; an expert also ranks all items and nominates.

An event passes all of them in one compiled loop (`online.prequential`), before the next event does. So each is two
things: a Python object, which owns the tables and makes ready for a mini-batch, and kernels over a NamedTuple of its
arrays, its state, by whose class they are found.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from numba import extending

from online.batch import Batch, Scores
from state.tables import Tables


class Column(NamedTuple):
    """One feature of a candidate."""

    name: str  # in weights and reports
    log_p: bool  # a log probability up to a constant per event, which the blend may mix; else any bounded number


class Signal(Protocol):
    """One way to describe candidates by features. To add one is to add a file and a line in `online.experts.lineup`."""

    name: str
    columns: tuple[Column, ...]  # what `describe` writes

    def prepare(self, batch: Batch) -> Any:
        """Make ready for a batch's events; return the state that the kernels read and change until they are through.

        Its arrays are C-contiguous and writeable, and their types never change: a kernel is compiled for one type.
        """
        ...

    def grow(self, base: Scores) -> None:
        """Make room for the rows that the catalogue's text vectors `base`, shape (N, d), gained since the last call."""
        ...

    def move(self, row: int, moved: Scores) -> None:
        """Follow an item whose text vector changed by `moved`, shape (d,); the catalogue's own has moved already."""
        ...

    def tables(self) -> Tables:
        """Return all that was learned, optimiser moments included; views, not copies."""
        ...

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        ...


class SlowExpert(Signal, Protocol):
    """An expert that scores and learns a batch at once, by products of matrices, while others look at events.

    `prepare` scores, with what was learned of all batches before, and returns a state that later calls leave alone
    until the next but one `prepare`; `learn` follows it.
    """

    def learn(self, batch: Batch) -> None:
        """Learn the batch that was just prepared."""
        ...


class Kernels(NamedTuple):
    """What is compiled of a signal; `s` is its state, `event` an `online.batch.Event`.

    nominate(s, event, top) -> rank: write the best items by the first column, exactly, to `top`, shape (K,), -1 beyond;
        return 1 + the number of other items the event may show that score at least as much as the target; 0 where the
        event is not scored, UNRANKED where the target has no score. None of a signal that does not nominate.
    describe(s, event, item, out): write the columns of candidates, shape (n,), which the event may show, to `out`,
        shape (columns, n), all finite. It comes after the same event's `nominate`; neither changes what a later score
        depends on.
    learn(s, event): learn the event just looked at; one that is not scored is a repeat that no list could hold. None of
        a signal that learns nothing by events.
    """

    columns: int
    nominate: Any
    describe: Any
    learn: Any


_KERNELS: dict[type, Kernels] = {}
_NONE = Kernels(0, None, None, None)
_overload: Callable[[Any], Callable[[Any], Any]] = extending.overload


def register(state: type, kernels: Kernels) -> None:
    """Let the compiled loop find a signal's kernels by the class of its state."""
    _KERNELS[state] = kernels


# The loop over the line-up is unrolled while it is compiled: each state has a type and kernels of its own.


def nominate_each(states: Any, event: Any, top: Any, rank: Any) -> None:
    """Let each expert nominate: `top` has shape (experts, K), `rank` (experts,)."""


def describe_each(states: Any, event: Any, item: Any, out: Any) -> None:
    """Let each signal describe the candidates: `out` has shape (columns of all, n)."""


def learn_each(states: Any, event: Any) -> None:
    """Let each signal learn the event."""


@_overload(nominate_each)
def _nominate_each(states: Any, event: Any, top: Any, rank: Any) -> Callable[..., None]:
    kernel: Any = _KERNELS[states[0].instance_class].nominate if len(states) else None

    def end(states: Any, event: Any, top: Any, rank: Any) -> None:
        pass

    def skip(states: Any, event: Any, top: Any, rank: Any) -> None:
        nominate_each(states[1:], event, top, rank)

    def call(states: Any, event: Any, top: Any, rank: Any) -> None:
        rank[0] = kernel(states[0], event, top[0])
        nominate_each(states[1:], event, top[1:], rank[1:])

    return call if kernel else skip if len(states) else end


@_overload(describe_each)
def _describe_each(states: Any, event: Any, item: Any, out: Any) -> Callable[..., None]:
    kernels = _KERNELS[states[0].instance_class] if len(states) else _NONE
    columns, kernel = kernels.columns, kernels.describe

    def end(states: Any, event: Any, item: Any, out: Any) -> None:
        pass

    def call(states: Any, event: Any, item: Any, out: Any) -> None:
        kernel(states[0], event, item, out[:columns])
        describe_each(states[1:], event, item, out[columns:])

    return call if len(states) else end


@_overload(learn_each)
def _learn_each(states: Any, event: Any) -> Callable[..., None]:
    kernel: Any = _KERNELS[states[0].instance_class].learn if len(states) else None

    def end(states: Any, event: Any) -> None:
        pass

    def skip(states: Any, event: Any) -> None:
        learn_each(states[1:], event)

    def call(states: Any, event: Any) -> None:
        kernel(states[0], event)
        learn_each(states[1:], event)

    return call if kernel else skip if len(states) else end
