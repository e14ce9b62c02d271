"""A mini-batch of events as arrays: what every expert and the blend read."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.compiled import compiled
from online.history import History

Scores = NDArray[np.float32]
NO_GAP = -1  # of an event that has none before it, or of a list: when its user comes is not known


class Batch(NamedTuple):
    """`B` events, or users whose lists are due; rows of the catalogue stand for items.

    Attributes:
        history: newest items before the event, newest first, -1 padded; shape (B, L), int32.
        seen, seen_from: items that are no candidates for event e are seen[seen_from[e]:seen_from[e + 1]]; int32.
        target: the event's item, -1 where there is none; shape (B,), int32.
        scored: the target is a candidate, so the event counts and teaches; shape (B,), bool.
        past: events of the user before this one; shape (B,), int32.
        open: 1 where an item of the catalogue may be shown, to whoever has not seen it; shape (N,), uint8.
        own, own_basket: what users had, and the number of its basket, oldest first; int32.
        own_from, own_to: of event e's user before it: from own_from[e] to own_to[e]; shape (B,), int32.
        basket: number of the event's basket, as `History.basket_number`; shape (B,), int32.
        position: events of this basket before this one; shape (B,), int32.
        gap_ms: since the user's event before, NO_GAP where there is none; what only its request tells; shape (B,).
    """

    history: NDArray[np.int32]
    seen: NDArray[np.int32]
    seen_from: NDArray[np.int32]
    target: NDArray[np.int32]
    scored: NDArray[np.bool_]
    past: NDArray[np.int32]
    open: NDArray[np.uint8]
    own: NDArray[np.int32]
    own_basket: NDArray[np.int32]
    own_from: NDArray[np.int32]
    own_to: NDArray[np.int32]
    basket: NDArray[np.int32]
    position: NDArray[np.int32]
    gap_ms: NDArray[np.int64]


class Event(NamedTuple):
    """One event of a batch, as kernels see it; arrays are views, and as in `Batch` if not told.

    Attributes:
        place: in the batch.
        history: shape (L,).
        own, own_basket: what the user had before the event; shape (n,).
        excluded: items that are no candidates for it.
        hidden: what it may not show: not open or excluded; shape (N,), bool.
    """

    place: int
    history: NDArray[np.int32]
    target: int
    scored: bool
    past: int
    position: int
    basket: int
    gap_ms: int
    own: NDArray[np.int32]
    own_basket: NDArray[np.int32]
    excluded: NDArray[np.int32]
    hidden: NDArray[np.bool_]


@compiled
def event_of(batch: Any, e: int, hidden: Any) -> Any:
    """Return event `e`, and mark what it excludes in `hidden`, which has what is not open."""
    excluded = batch.seen[batch.seen_from[e] : batch.seen_from[e + 1]]
    for j in excluded:
        hidden[j] = True
    own = slice(batch.own_from[e], batch.own_to[e])
    return Event(
        e, batch.history[e], batch.target[e], batch.scored[e], batch.past[e], batch.position[e], batch.basket[e],
        batch.gap_ms[e], batch.own[own], batch.own_basket[own], excluded, hidden,
    )  # fmt: skip


@compiled
def leave(batch: Any, event: Any) -> None:
    """Mark in `hidden` what is not open, and nothing else, again."""
    for j in event.excluded:
        event.hidden[j] = batch.open[j] == 0


class BatchBuilder:
    """Collects snapshots of users' histories, which may advance in between: what was kept of them stays in place."""

    def __init__(self, window: int) -> None:
        """Start empty; `window` newest items of a history are taken."""
        self._window = window
        self.clear()

    def clear(self) -> None:
        """Forget what was added."""
        self._users: dict[int, int] = {}  # id of a history -> its number
        self._histories: list[History[int]] = []
        self._facts: list[tuple[int, ...]] = []  # by event: see `add`
        self._seen: list[int] = []

    def add(self, history: History[int], target: int = -1, at_ms: int | None = None) -> None:
        """Take a snapshot of `history`, before `target` is folded in at `at_ms`."""
        number = self._users.setdefault(id(history), len(self._histories))
        if number == len(self._histories):
            self._histories.append(history)
        self._seen += history.seen
        scored = target >= 0 and not history.excludes(target)
        gap_ms = NO_GAP if at_ms is None or not history.events else max(0, at_ms - history.last_ms)
        self._facts.append(
            (
                number,
                len(history.recent),
                target,
                scored,
                history.events,
                history.basket_number,
                gap_ms,
                len(self._seen),
            )
        )

    def build(self, open_: NDArray[np.uint8]) -> Batch:
        """Return the batch of what was added; `open_` as in `Batch`."""
        user, length, target, scored, past, basket, gap_ms, seen_to = np.array(self._facts, np.int64).reshape(-1, 8).T
        B = len(user)
        most = dict(zip(user.tolist(), length.tolist(), strict=True))  # an event's length is at least that before
        least = dict(zip(user[::-1].tolist(), length[::-1].tolist(), strict=True))
        own: list[int] = []
        own_basket: list[int] = []
        first = []  # place of each history's first item, were it all here
        memory = 0
        for number, history in enumerate(self._histories):
            memory = history.memory
            start = max(0, least[number] - memory)
            first.append(len(own) - start)
            own += history.recent[start : most[number]]
            own_basket += history.baskets[start : most[number]]
        own_to = (np.array(first, np.int64)[user] + length).astype(np.int32)
        batch = Batch(
            np.empty((B, self._window), np.int32),
            np.array(self._seen, np.int32),
            np.append(0, seen_to).astype(np.int32),
            target.astype(np.int32),
            scored.astype(np.bool_),
            past.astype(np.int32),
            open_,
            np.array(own, np.int32),
            np.array(own_basket, np.int32),
            own_to - np.minimum(length, memory).astype(np.int32),
            own_to,
            basket.astype(np.int32),
            np.empty(B, np.int32),
            gap_ms.copy(),
        )
        _newest(batch.own, batch.own_basket, batch.own_from, own_to, batch.basket, batch.history, batch.position)
        return batch


@compiled
def _newest(own: Any, own_basket: Any, own_from: Any, own_to: Any, basket: Any, history: Any, position: Any) -> None:
    """Write each event's newest items, and how many there are of its basket; see `Batch`."""
    for e in range(history.shape[0]):
        for p in range(history.shape[1]):
            at = own_to[e] - 1 - p
            history[e, p] = own[at] if at >= own_from[e] else -1
        at = own_to[e]
        while at > own_from[e] and own_basket[at - 1] == basket[e]:
            at -= 1
        position[e] = own_to[e] - at
