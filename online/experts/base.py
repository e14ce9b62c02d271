"""The contract of an expert: it scores every item for each event of a batch, and then learns the batch."""

from typing import Protocol

from online.batch import Batch, Scores
from state.tables import Tables


class Expert(Protocol):
    """One way to score items.

    The learner calls `score`, ranks, and only then `learn`, with the same batch. To add an expert is to add a file
    and a line in `online.experts.lineup`.
    """

    name: str  # in reports and metrics
    is_mass: bool  # True: scores are masses >= 0 (p = score / sum); False: logits (p = softmax)
    is_shared: bool  # True: the scores are the same for every event of a batch

    def score(self, batch: Batch, out: Scores) -> None:
        """Write the score of every item for every event of the batch to `out`, shape (B, N), or (1, N) if shared.

        It changes nothing that a later score depends on.
        """
        ...

    def learn(self, batch: Batch, scores: Scores) -> None:
        """Learn the events of the batch.

        Args:
            batch: the events; those not `scored` are repeats that no list could hold.
            scores: what `score` wrote; where not shared, items that are no candidates are masked; may be overwritten.
        """
        ...

    def grow(self, base: Scores) -> None:
        """Make room for the rows that the catalogue's text vectors `base`, shape (N, d), gained since the last call."""
        ...

    def move(self, row: int, moved: Scores) -> None:
        """Follow an item whose text vector changed by `moved`, shape (d,)."""
        ...

    def tables(self) -> Tables:
        """Return all that was learned, optimiser moments included; views, not copies."""
        ...

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        ...
