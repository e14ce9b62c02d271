"""A user's past, event by event: what the Sessions keep and the Learner follows, by the same rules."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from online.settings import Candidates
from state.user import RECENT_MAX, SEEN_MAX, HistoryState

SESSION_IDLE_MS = 30 * 60 * 1000  # a session is over after 30 min without an event, where the log names no basket

Item = TypeVar("Item", bound=Hashable)  # an item's id (in Sessions) or its row in the catalogue (in the Learner)


class History(Generic[Item]):
    """A user's past that advances one event at a time.

    Attributes:
        recent: newest items, oldest first, at most RECENT_MAX.
        seen: items that are no candidates for this user, oldest first, at most SEEN_MAX: all ever consumed
            (`unseen`), those of the current basket or session (`not_in_basket`), none (`all`).
    """

    __slots__ = ("_candidates", "_in_seen", "basket", "events", "last_ms", "recent", "seen")

    def __init__(self, state: HistoryState | None, candidates: Candidates, key: Callable[[str], Item]) -> None:
        """Start from `state` (None: a new user), with `key` applied to each item id."""
        self._candidates = candidates
        self.events = state.events if state else 0
        self.last_ms = state.last_ms if state else 0
        self.basket = state.basket if state else ""
        self.recent: list[Item] = [key(item) for item in state.recent] if state else []
        self.seen: list[Item] = [key(item) for item in state.seen] if state else []
        self._in_seen = set(self.seen)

    def enter(self, at_ms: int, basket: str) -> None:
        """Open the basket that the next event belongs to, before that event is predicted; a new one starts empty."""
        if self._candidates == "not_in_basket":
            over = basket != self.basket if basket or self.basket else at_ms - self.last_ms > SESSION_IDLE_MS
            if over:
                self.seen.clear()
                self._in_seen.clear()
        self.basket = basket

    def advance(self, item: Item, at_ms: int) -> None:
        """Fold one event in; call `enter` with the same event first."""
        self.events += 1
        self.last_ms = max(self.last_ms, at_ms)
        self.recent.append(item)
        del self.recent[:-RECENT_MAX]
        if self._candidates != "all" and item not in self._in_seen:
            self.seen.append(item)
            self._in_seen.add(item)
            if len(self.seen) > SEEN_MAX:
                self._in_seen.discard(self.seen.pop(0))

    def excludes(self, item: Item) -> bool:
        """Tell whether `item` is no candidate for this user now."""
        return item in self._in_seen


def state_of(history: History[str]) -> HistoryState:
    """Return what is kept of a history of item ids."""
    return HistoryState(history.events, history.last_ms, history.basket, tuple(history.recent), tuple(history.seen))
