"""The lists that a run delivered, as columns beside its events."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from online.evaluation.outcomes import Outcomes

TOP = 10  # items of a list that are looked at


class DeliveredList(msgspec.Struct, gc=False):
    """What is read of a list's line."""

    user: str
    at: int
    items: list[str]


class Delivered(NamedTuple):
    """Lists ordered by (user, time), `L` of them.

    Attributes:
        user: place among the users of the run's `Outcomes`, shape (L,).
        at_ms: event time of the refresh: the last millisecond of the tick after which the list is there; shape (L,).
        item: the best TOP items, best first, -1 beyond the last; places among the items of the run, and beyond them
            those of items that no event names; shape (L, TOP).
    """

    user: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    item: NDArray[np.int32]

    def newest(self, user: NDArray[np.int32], before_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each event the place of its user's newest list with `at_ms` < `before_ms`, -1 without one."""
        times = np.unique(self.at_ms)
        width = len(times) + 1
        keys = self.user.astype(np.int64) * width + np.searchsorted(times, self.at_ms)
        wanted = user.astype(np.int64) * width + np.searchsorted(times, before_ms)
        found = np.searchsorted(keys, wanted) - 1
        of_user = (found >= 0) & (self.user[found] == user) if len(keys) else np.zeros(len(user), np.bool_)
        return np.where(of_user, found, -1)

    def position(self, place: NDArray[np.int64], item: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the position of each item in the list at `place`, from 1; 0 where it is not there or `place` is -1."""
        if not len(self.user):
            return np.zeros(len(place), np.int32)
        same = self.item[place] == item[:, None]
        position = np.where(same.any(axis=1) & (place >= 0), same.argmax(axis=1) + 1, 0)
        return position.astype(np.int32)


def gather(lists: Iterable[DeliveredList], run: Outcomes) -> Delivered:
    """Return the lists as columns; those of users without an accepted event, which no run makes, are left out."""
    users = {user: place for place, user in enumerate(run.users)}
    items = {item: place for place, item in enumerate(run.items)}
    owner, at_ms, rows = [], [], []
    padding = [-1] * TOP
    for made in lists:
        if (user := users.get(made.user)) is not None:
            row = [items.setdefault(item, len(items)) for item in made.items[:TOP]]
            owner.append(user)
            at_ms.append(made.at)
            rows.append(np.array((row + padding)[:TOP], np.int32))
    owners, at = np.array(owner, np.int32), np.array(at_ms, np.int64)
    item = np.stack(rows) if rows else np.empty((0, TOP), np.int32)
    order = np.lexsort((at, owners))
    return Delivered(owners[order], at[order], item[order])
