"""The contract of an expert: it ranks all items for each event of a batch, and then learns the batch."""

from typing import Protocol

from numpy import int32
from numpy.typing import NDArray

from online.batch import Batch, Scores
from state.tables import Tables


class Expert(Protocol):
    """One way to score items.

    The learner calls `nominate`, then `features`, and only then `learn`, all with the same batch. To add an expert is
    to add a file and a line in `online.experts.lineup`.
    """

    name: str  # in reports and metrics
    has_long_kernels: bool  # `nominate` and `learn` are each one kernel of ms that lets go of the interpreter

    def nominate(self, batch: Batch, item: NDArray[int32], rank: NDArray[int32]) -> None:
        """Write each event's best items and its target's rank. It changes nothing that a later score depends on.

        Args:
            batch: the events; what an event may show are the open items that it has not seen.
            item: the best of these, exactly, where the expert scores so many; shape (B, K), -1 beyond the last.
            rank: 1 + the number of other items the event may show that score at least as much as the target; 0 where
                the event is not scored, UNRANKED where the expert gives the target no score; shape (B,).
        """
        ...

    def features(self, batch: Batch, item: NDArray[int32], n: NDArray[int32], out: Scores) -> None:
        """Write the log probability of candidates that the event may show, up to a constant per event.

        Args:
            batch: the one that was just nominated for.
            item, n: candidates, shape (B, C); of event e the first n[e].
            out: finite in the same places; shape (B, C).
        """
        ...

    def learn(self, batch: Batch) -> None:
        """Learn the events that were just nominated for; those not `scored` are repeats that no list could hold."""
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
