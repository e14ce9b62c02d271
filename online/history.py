"""A user's past, event by event: what the Sessions keep and the Learner follows, by the same rules."""

from collections.abc import Callable, Hashable, Sequence
from itertools import groupby
from typing import Generic, TypeVar

from online.settings import Candidates
from state.user import RECENT_MAX, SEEN_MAX, WINDOW_MAX, HistoryState

SESSION_IDLE_MS = 30 * 60 * 1000  # a session is over after 30 min without an event, where the log names no basket

Item = TypeVar("Item", bound=Hashable)  # an item's id (in Sessions) or its row in the catalogue (in the Learner)


class History(Generic[Item]):
    """A user's past that advances one event at a time.

    Attributes:
        recent: newest items, oldest first; cut to the newest `memory` only when stored, so that places stay.
        baskets: number of the basket or session of each of them, ascending; same length.
        basket_number: of the current basket: the next event's under `not_in_basket`, where its request tells it, else
            the newest event's.
        seen: items that are no candidates for this user, oldest first, at most SEEN_MAX: all ever consumed
            (`unseen`), those of the current basket or session (`not_in_basket`), none (`all`).
    """

    __slots__ = (
        "_candidates",
        "_in_seen",
        "_over",
        "basket",
        "basket_number",
        "baskets",
        "events",
        "last_ms",
        "memory",
        "recent",
        "seen",
    )

    def __init__(
        self, state: HistoryState | None, candidates: Candidates, keys: Callable[[Sequence[str]], list[Item]]
    ) -> None:
        """Start from `state` (None: a new user); `keys` turns item ids into what the items go by here."""
        self._candidates = candidates
        self._over = False  # the basket before the event that is entered
        self.memory = memory_of(candidates)
        self.events = state.events if state else 0
        self.last_ms = state.last_ms if state else 0
        self.basket = state.basket if state else ""
        self.recent: list[Item] = keys(state.recent) if state else []
        self.baskets: list[int] = []
        for number, length in enumerate((state.baskets or (len(state.recent),)) if state else ()):
            self.baskets += [number] * length
        self.basket_number = self.baskets[-1] if self.baskets else -1
        self.seen: list[Item] = keys(state.seen) if state else []
        self._in_seen = set(self.seen)

    def enter(self, at_ms: int, basket: str) -> None:
        """Open the basket that the next event belongs to, before that event is predicted; a new one starts empty.

        What only the time of the request tells, that a session is over, changes what is excluded and nothing else.
        """
        named = basket or self.basket
        self._over = not self.events or (basket != self.basket if named else at_ms - self.last_ms > SESSION_IDLE_MS)
        if self._over and self._candidates == "not_in_basket":
            self._open_basket()
            self.seen.clear()
            self._in_seen.clear()
        self.basket = basket

    def advance(self, item: Item, at_ms: int) -> None:
        """Fold one event in; call `enter` with the same event first."""
        if self._over:
            self._open_basket()
        self.events += 1
        self.last_ms = max(self.last_ms, at_ms)
        self.recent.append(item)
        self.baskets.append(self.basket_number)
        if self._candidates != "all" and item not in self._in_seen:
            self.seen.append(item)
            self._in_seen.add(item)
            if len(self.seen) > SEEN_MAX:
                self._in_seen.discard(self.seen.pop(0))

    def excludes(self, item: Item) -> bool:
        """Tell whether `item` is no candidate for this user now."""
        return item in self._in_seen

    def _open_basket(self) -> None:
        self.basket_number += 1
        self._over = False


def memory_of(candidates: Candidates) -> int:
    """Return how many newest items of a user are kept: a long past is of use only where items may repeat."""
    return WINDOW_MAX if candidates == "unseen" else RECENT_MAX


def state_of(history: History[str]) -> HistoryState:
    """Return what is kept of a history of item ids."""
    kept = history.baskets[-history.memory :]
    lengths = tuple(len(list(basket)) for _, basket in groupby(kept))
    return HistoryState(
        history.events, history.last_ms, history.basket, tuple(history.recent[-history.memory :]), tuple(history.seen),
        lengths,
    )  # fmt: skip
