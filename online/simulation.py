"""A made-up log whose best possible quality is known: how far the learner is from it is a measure of the learner.

Every event is drawn from a distribution over all items that follows from the user's past and the time alone, so nobody
can do better than to show the ten likeliest items, and how often that hits is known event by event.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TOPICS = 25
_SUCCESSORS = 8  # items that tend to follow an item
_SESSIONS = 16  # open at a time, each of one user
_SESSION_EVENTS = 6.0  # mean length
_REPEATS = 8  # items back that a user returns to
_RETURN_DECAY = 0.7  # per item back
_PERIOD = 20_000  # events in which an item's popularity swells and ebbs once
_SWING = 1.5  # how far: exp(-1.5) to exp(1.5)
_NEW = 0.1  # share of items that come during the log
_START_S = 1_700_000_000  # Unix time of the first event
_WORDS = ("amber", "brass", "cedar", "denim", "ebony", "flint", "grain", "hazel", "ivory", "jute", "khaki", "linen")

FOLLOW, AGAIN, TOPIC, POPULAR = 0.55, 0.15, 0.1, 0.2
"""Where an event comes from: a successor of the user's last item, one of the user's own, one of the last item's topic,
what is popular now. Where a user has no past, all come from what is popular."""


class Simulated(NamedTuple):
    """A log of `n` events over `N` items, and what the best list would reach."""

    titles: list[str]  # by item
    available_s: NDArray[np.int64]  # Unix time from which an item may be shown, 0 = from the start; shape (N,)
    user: NDArray[np.int32]  # shape (n,)
    item: NDArray[np.int32]  # shape (n,)
    at_s: NDArray[np.int64]  # Unix time, ascending, no two alike; shape (n,)
    best_rank: NDArray[np.int32]  # of the event's item among all by how likely they were, ties against it; shape (n,)
    best_hit: NDArray[np.float64]  # chance that the ten likeliest items hold the event's item; shape (n,)


def simulate(events: int, items: int, users: int, seed: int) -> Simulated:
    """Draw a log; equal arguments give the same one.

    Args:
        events: n.
        items: N, at least 50.
        users: to draw from.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    world = _World(rng, items, events)
    user, item, at_s = np.empty(events, np.int32), np.empty(events, np.int32), np.empty(events, np.int64)
    best_rank, best_hit = np.empty(events, np.int32), np.empty(events)
    pasts: dict[int, list[int]] = {}
    sessions = rng.integers(0, users, _SESSIONS)
    now = _START_S
    for n in range(events):
        now += int(rng.integers(1, 20))
        place = int(rng.integers(0, _SESSIONS))
        past = pasts.setdefault(int(sessions[place]), [])
        chance = world.chances(n, past)
        chosen = int(min(np.searchsorted(np.cumsum(chance), rng.random() * chance.sum(), side="right"), items - 1))
        user[n], item[n], at_s[n] = sessions[place], chosen, now
        best_rank[n] = np.count_nonzero(chance >= chance[chosen])
        best_hit[n] = np.partition(chance, items - 10)[-10:].sum() / chance.sum()
        past.append(chosen)
        if rng.random() < 1 / _SESSION_EVENTS:
            sessions[place] = rng.integers(0, users)
    available_s = np.where(world.first > 0, at_s[np.minimum(world.first, events - 1)], 0)
    return Simulated(world.titles(), available_s, user, item, at_s, best_rank, best_hit)


class _World:
    """What is hidden from the learner."""

    def __init__(self, rng: np.random.Generator, items: int, events: int) -> None:
        self._topic = rng.integers(0, _TOPICS, items)
        self._appeal = np.exp(rng.normal(size=items) * 1.2)
        self._phase = rng.random(items)
        self._successors = np.empty((items, _SUCCESSORS), np.int64)
        for item, topic in enumerate(self._topic):  # half of them of the same topic, so that the text tells something
            near = rng.choice(np.flatnonzero(self._topic == topic), _SUCCESSORS // 2)
            self._successors[item] = np.append(near, rng.integers(0, items, _SUCCESSORS - len(near)))
        self._weights = 0.65 ** np.arange(_SUCCESSORS)
        self.first = np.where(rng.random(items) < _NEW, rng.integers(0, events, items), 0)  # event it is there from

    def titles(self) -> list[str]:
        """Return a title per item: two words that its topic shares, and one of its own."""
        pairs = [(_WORDS[t % len(_WORDS)], _WORDS[(t * 5 + t // len(_WORDS) + 1) % len(_WORDS)]) for t in self._topic]
        return [f"{one} {two} no {number}" for number, (one, two) in enumerate(pairs)]

    def chances(self, n: int, past: list[int]) -> NDArray[np.float64]:
        """Return how likely each item is as event `n` of a user with this past, up to a constant; shape (N,)."""
        there = self.first <= n
        popular = self._appeal * np.exp(_SWING * np.sin(2 * np.pi * (n / _PERIOD + self._phase))) * there
        chance: NDArray[np.float64] = popular / popular.sum()
        if not past:
            return chance
        chance *= POPULAR
        last = past[-1]
        follows = self._weights * there[self._successors[last]]
        np.add.at(chance, self._successors[last], FOLLOW * follows / max(follows.sum(), 1e-9))
        topic = (self._topic == self._topic[last]) & there
        chance[topic] += TOPIC / np.count_nonzero(topic)
        own = past[-2 : -_REPEATS - 2 : -1]
        again = _RETURN_DECAY ** np.arange(len(own))
        np.add.at(chance, np.array(own, np.int64), AGAIN * again / max(again.sum(), 1e-9))
        return chance
