"""A mini-batch of events as arrays: what every expert and the blend read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.history import History

Scores = NDArray[np.float32]


class Batch(NamedTuple):
    """`B` events, or users whose lists are due; rows of the catalogue stand for items.

    Attributes:
        history: newest items before the event, newest first, -1 padded; shape (B, L), int32.
        seen, seen_from: items that are no candidates for event e are seen[seen_from[e]:seen_from[e + 1]]; int32.
        target: the event's item, -1 where there is none; shape (B,), int32.
        scored: the target is a candidate, so the event counts and teaches; shape (B,), bool.
        past: events of the user before this one; shape (B,), int32.
    """

    history: NDArray[np.int32]
    seen: NDArray[np.int32]
    seen_from: NDArray[np.int32]
    target: NDArray[np.int32]
    scored: NDArray[np.bool_]
    past: NDArray[np.int32]


class BatchBuilder:
    """Collects up to `size` snapshots of users' histories; their arrays live until the next `clear`."""

    def __init__(self, size: int, window: int) -> None:
        self._window = window
        self._history = np.empty((size, window), np.int32)
        self._target = np.empty(size, np.int32)
        self._scored = np.empty(size, np.bool_)
        self._past = np.empty(size, np.int32)
        self._seen: list[int] = []
        self._seen_from: list[int] = [0]
        self.n = 0

    def add(self, history: History[int], target: int = -1) -> None:
        """Take a snapshot of `history`, before `target` is folded in."""
        recent: Sequence[int] = history.recent[: -self._window - 1 : -1]
        row = self._history[self.n]
        row[: len(recent)] = recent
        row[len(recent) :] = -1
        self._target[self.n] = target
        self._scored[self.n] = target >= 0 and not history.excludes(target)
        self._past[self.n] = history.events
        self._seen += history.seen
        self._seen_from.append(len(self._seen))
        self.n += 1

    def build(self) -> Batch:
        """Return the batch of what was added."""
        n = self.n
        return Batch(
            self._history[:n],
            np.array(self._seen, np.int32),
            np.array(self._seen_from, np.int32),
            self._target[:n],
            self._scored[:n],
            self._past[:n],
        )

    def clear(self) -> None:
        """Forget what was added."""
        self._seen = []
        self._seen_from = [0]
        self.n = 0
