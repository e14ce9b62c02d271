"""A mini-batch of events as arrays: what every expert and the blend read."""

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
        open: 1 where an item of the catalogue may be shown, to whoever has not seen it; shape (N,), uint8.
    """

    history: NDArray[np.int32]
    seen: NDArray[np.int32]
    seen_from: NDArray[np.int32]
    target: NDArray[np.int32]
    scored: NDArray[np.bool_]
    past: NDArray[np.int32]
    open: NDArray[np.uint8]


class BatchBuilder:
    """Collects snapshots of users' histories."""

    def __init__(self, window: int) -> None:
        """Start empty; `window` newest items of a history are taken."""
        self._window = window
        self._padding = [[-1] * (window - length) for length in range(window + 1)]
        self.clear()

    def clear(self) -> None:
        """Forget what was added."""
        self._history: list[int] = []
        self._target: list[int] = []
        self._scored: list[bool] = []
        self._past: list[int] = []
        self._seen: list[int] = []
        self._seen_from: list[int] = [0]

    def add(self, history: History[int], target: int = -1) -> None:
        """Take a snapshot of `history`, before `target` is folded in."""
        recent = history.recent[: -self._window - 1 : -1]
        self._history += recent
        self._history += self._padding[len(recent)]
        self._target.append(target)
        self._scored.append(target >= 0 and not history.excludes(target))
        self._past.append(history.events)
        self._seen += history.seen
        self._seen_from.append(len(self._seen))

    def build(self, open_: NDArray[np.uint8]) -> Batch:
        """Return the batch of what was added; `open_` as in `Batch`."""
        return Batch(
            np.array(self._history, np.int32).reshape(-1, self._window),
            np.array(self._seen, np.int32),
            np.array(self._seen_from, np.int32),
            np.array(self._target, np.int32),
            np.array(self._scored, np.bool_),
            np.array(self._past, np.int32),
            open_,
        )
