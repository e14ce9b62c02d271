"""The experts of a learner at work: those with long kernels on threads of their own, beside the others."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from numpy import int32
from numpy.typing import NDArray

from online.batch import Batch
from online.experts.base import Expert

_WORTH = 16  # events of a batch from which on a thread pays for its two hand-overs of some 30 us


class Ensemble:
    """Experts that nominate and learn side by side.

    No bit depends on it: an expert's calls keep their order, each on one thread, and experts share nothing that either
    changes. `settle` ends what is under way; nothing but `nominate` and `learn` may be called before.
    """

    def __init__(self, experts: Sequence[Expert]) -> None:
        """Take the experts in the order of their features."""
        self._experts = list(experts)
        self._threads = {e.name: ThreadPoolExecutor(1, f"expert-{e.name}") for e in experts if e.has_long_kernels}
        self._under_way: list[Future[None]] = []

    def __iter__(self) -> Iterator[Expert]:
        return iter(self._experts)

    def __len__(self) -> int:
        return len(self._experts)

    def nominate(self, batch: Batch, item: NDArray[int32], rank: NDArray[int32]) -> None:
        """Let each expert nominate, see `Expert`; `item` has shape (E, B, K), `rank` (E, B)."""
        beside = self._beside(batch)
        for expert, items, ranks in zip(self._experts, item, rank, strict=True):
            if expert.name in beside:
                self._under_way.append(beside[expert.name].submit(expert.nominate, batch, items, ranks))
        for expert, items, ranks in zip(self._experts, item, rank, strict=True):
            if expert.name not in beside:
                expert.nominate(batch, items, ranks)
        self.settle()

    def learn(self, batch: Batch) -> None:
        """Let each expert learn the batch it nominated for, see `Expert`; some may still be at it on return."""
        beside = self._beside(batch)
        for name, thread in beside.items():
            expert = next(expert for expert in self._experts if expert.name == name)
            self._under_way.append(thread.submit(expert.learn, batch))
        for expert in self._experts:
            if expert.name not in beside:
                expert.learn(batch)

    def settle(self) -> None:
        """Wait for all that is under way, and raise what went wrong there."""
        under_way, self._under_way = self._under_way, []
        for call in under_way:
            call.result()

    def _beside(self, batch: Batch) -> dict[str, ThreadPoolExecutor]:
        if len(batch.target) >= _WORTH:
            return self._threads
        self.settle()
        return {}
