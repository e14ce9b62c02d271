"""A line-up at work: its experts with long kernels on threads of their own, beside the others."""

from concurrent.futures import Future, ThreadPoolExecutor

from numpy import int32
from numpy.typing import NDArray

from online.batch import Batch
from online.experts.lineup import Lineup

_WORTH = 16  # events of a batch from which on a thread pays for its two hand-overs of some 30 us


class Ensemble:
    """Experts that nominate and learn side by side.

    No bit depends on it: an expert's calls keep their order, each on one thread, and experts share nothing that either
    changes. `settle` ends what is under way; nothing but `nominate` and `learn` may be called before.
    """

    def __init__(self, lineup: Lineup) -> None:
        self.lineup = lineup
        self._threads = {name: ThreadPoolExecutor(1, f"expert-{name}") for name in sorted(lineup.long)}
        self._under_way: list[Future[None]] = []

    def nominate(self, batch: Batch, item: NDArray[int32], rank: NDArray[int32]) -> None:
        """Let each expert nominate, see `Expert`; `item` has shape (E, B, K), `rank` (E, B)."""
        threads = self._threads_for(batch)
        calls = list(zip(self.lineup.experts, item, rank, strict=True))
        for expert, items, ranks in calls:
            if expert.name in threads:
                self._under_way.append(threads[expert.name].submit(expert.nominate, batch, items, ranks))
        for expert, items, ranks in calls:
            if expert.name not in threads:
                expert.nominate(batch, items, ranks)
        self.settle()

    def learn(self, batch: Batch) -> None:
        """Let every part learn the batch that was just nominated for; some may still be at it on return."""
        threads = self._threads_for(batch)
        for part in self.lineup.parts:
            if part.name in threads:
                self._under_way.append(threads[part.name].submit(part.learn, batch))
        for part in self.lineup.parts:
            if part.name not in threads:
                part.learn(batch)

    def settle(self) -> None:
        """Wait for all that is under way, and raise what went wrong there."""
        under_way, self._under_way = self._under_way, []
        for call in under_way:
            call.result()

    def _threads_for(self, batch: Batch) -> dict[str, ThreadPoolExecutor]:
        if len(batch.target) >= _WORTH:
            return self._threads
        self.settle()
        return {}
