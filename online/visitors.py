"""Visitors with a known taste, who click from the lists they are shown: a loop that can be watched closing.

A taste is a word; its visitors like the items whose description holds it. They go down their list as the cascade model
has it: from place to place, leaving at each with a small chance, until they click. Who does not click sometimes finds
a liked item alone, so that a taste can be learned before any list shows it.

Source: Craswell et al. 2008, "An Experimental Comparison of Click Position-Bias Models" (the cascade model).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

PLACES = 10  # of a list that a visitor looks at
STAY = 0.9  # chance to look at the next place
LIKED, OTHER = 0.8, 0.02  # chance to click an item of the taste, and any other
SEARCH = 0.35  # chance that one who did not click finds a liked item alone
SHARES = (0.01, 0.25)  # of the catalogue that a taste may like: rarer ones are soon used up, larger ones are no taste
LIKED_MIN = 20  # items of a taste
TASTES_MAX = 12
HAD_MAX = 200  # newest items that a visitor remembers to have had
CLICK, FIND = "click", "search"

_WORD = re.compile(r"[^\W\d_]{3,}")


class Act(NamedTuple):
    """What came of a visit."""

    item: str
    action: str  # CLICK: from the list; FIND: not from it


def find_tastes(descriptions: Mapping[str, str]) -> dict[str, list[str]]:
    """Return word -> items whose description holds it, of the most usual words that make a taste.

    Args:
        descriptions: item -> text.
    """
    holders: dict[str, list[str]] = {}
    for item, text in sorted(descriptions.items()):
        for word in set(_WORD.findall(text.lower())):
            holders.setdefault(word, []).append(item)
    low, high = (share * len(descriptions) for share in SHARES)
    fit = {word: items for word, items in holders.items() if max(low, LIKED_MIN) <= len(items) <= high}
    usual = sorted(fit, key=lambda word: (-len(fit[word]), word))[:TASTES_MAX]
    return {word: fit[word] for word in usual}


def perfect_share() -> float:
    """Return the share of visits that end in a click when all places hold liked items."""
    return sum((STAY * (1 - LIKED)) ** place * LIKED for place in range(PLACES))


class Visitors:
    """A number of visitors, their tastes in turn; equal seeds and lists give equal visits."""

    def __init__(self, tastes: Mapping[str, Sequence[str]], count: int, seed: int) -> None:
        """Make `count` visitors, named TASTE-NUMBER."""
        words = list(tastes)
        self.taste_of = {
            f"{words[n % len(words)]}-{n // len(words) + 1:03d}": words[n % len(words)] for n in range(count)
        }
        self._users = list(self.taste_of)
        self._rng = np.random.default_rng(seed)
        self._liked = {word: set(items) for word, items in tastes.items()}
        self._order = {word: [items[n] for n in self._rng.permutation(len(items))] for word, items in tastes.items()}
        self._had: dict[str, list[str]] = {user: [] for user in self._users}

    def next_user(self) -> str:
        """Return who comes next."""
        return self._users[int(self._rng.integers(len(self._users)))]

    def visit(self, user: str, shown: Sequence[str]) -> Act | None:
        """Return what a visitor does who is shown this list, None: nothing."""
        had, liked = self._had[user], self._liked[self.taste_of[user]]
        act = None
        for item in shown[:PLACES]:
            if item not in had and self._rng.random() < (LIKED if item in liked else OTHER):
                act = Act(item, CLICK)
                break
            if self._rng.random() > STAY:
                break
        if act is None and self._rng.random() < SEARCH:
            act = self._find(user)
        if act is not None:
            had.append(act.item)
            del had[:-HAD_MAX]
        return act

    def _find(self, user: str) -> Act | None:
        """Find a liked item that the visitor has not had, the n-th most usual one with a chance that falls with n."""
        left = [item for item in self._order[self.taste_of[user]] if item not in self._had[user]]
        if not left:
            return None
        chance = 1.0 / np.arange(1, len(left) + 1)
        return Act(left[int(self._rng.choice(len(left), p=chance / chance.sum()))], FIND)
