"""The contracts of what scores items: a signal describes candidates; an expert also ranks all items and nominates."""

from typing import NamedTuple, Protocol

from numpy import int32
from numpy.typing import NDArray

from online.batch import Batch, Scores
from state.tables import Tables


class Column(NamedTuple):
    """One feature of a candidate."""

    name: str  # in weights and reports
    log_p: bool  # a log probability up to a constant per event, which the blend may mix; else any bounded number


class Signal(Protocol):
    """One way to describe candidates by features.

    The learner calls `features` and only then `learn`, both with the same batch. To add a signal or an expert is to add
    a file and a line in `online.experts.lineup`.
    """

    name: str
    columns: tuple[Column, ...]  # what `features` writes

    def features(self, batch: Batch, item: NDArray[int32], n: NDArray[int32], out: Scores) -> None:
        """Write the columns of candidates that the event may show. It changes nothing that a later score depends on.

        Args:
            batch: the events; what an event may show are the open items that it has not seen.
            item, n: candidates, shape (B, C); of event e the first n[e].
            out: finite in the same places, of each column; shape (columns, B, C).
        """
        ...

    def learn(self, batch: Batch) -> None:
        """Learn the events that were just looked at; those not `scored` are repeats that no list could hold."""
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


class Expert(Signal, Protocol):
    """A signal that scores all items. The learner calls `nominate` first, then `features`, then `learn`."""

    def nominate(self, batch: Batch, item: NDArray[int32], rank: NDArray[int32]) -> None:
        """Write each event's best items and its target's rank. It changes nothing that a later score depends on.

        Args:
            batch: the events.
            item: the best by the first column, exactly, where the expert scores so many; shape (B, K), -1 beyond.
            rank: 1 + the number of other items the event may show that score at least as much as the target; 0 where
                the event is not scored, UNRANKED where the expert gives the target no score; shape (B,).
        """
        ...
