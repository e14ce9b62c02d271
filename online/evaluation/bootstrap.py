"""Uncertainty by a block bootstrap: whole users are drawn anew, because the events of one user are alike.

Each draw takes as many users as there are, with replacement, and the mean over all events of the users drawn. Paired
differences come from the same draws of the same events, so what is common to both models falls out.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
SEED = 7
LEVEL = 0.95
MIN_USERS = 20  # with fewer, draws say nothing
_CELLS = 1 << 22  # weights at a time: 32 MB


class Column(NamedTuple):
    """Something to take the mean of."""

    value: NDArray[np.float64]  # by event, shape (n,)
    counted: NDArray[np.bool_]  # events that the mean is over, shape (n,)


class Interval(NamedTuple):
    """A mean with its 95 % interval; without one where there are fewer than MIN_USERS users."""

    mean: float
    low: float | None
    high: float | None

    def verdict(self, better_is: int = 1) -> str:
        """Tell whether the interval lies above zero, below it, or around it; `better_is` -1: less is better."""
        if self.low is None or self.high is None:
            return "too few users"
        if self.low <= 0 <= self.high:
            return "no difference seen"
        return "better" if (self.low > 0) == (better_is > 0) else "worse"

    def as_dict(self) -> dict[str, Any]:
        """Return it for a report."""
        return dict(self._asdict())


def bootstrap(
    user: NDArray[np.int32], columns: Iterable[Column], *, draws: int = DRAWS, seed: int = SEED
) -> list[Interval]:
    """Return the mean of each column over its counted events, with the interval of LEVEL by percentiles.

    Args:
        user: place of each event's user, shape (n,).
        columns: of the same events; taken one after the other, so that a generator holds one at a time.
        draws, seed: of the bootstrap; the same seed and users give the same draws.
    """
    codes = np.unique(user, return_inverse=True)[1].reshape(-1)
    users = int(codes.max(initial=-1)) + 1
    by_user = []  # sums of values and numbers of events, in turn
    for value, counted in columns:
        own = codes[counted]
        by_user += [np.bincount(own, value[counted], users), np.bincount(own, minlength=users)]
    sums = np.array(by_user, np.float64).reshape(len(by_user), users)
    means = _ratio(sums.sum(axis=1))
    if users < MIN_USERS:
        return [Interval(_rounded(mean), None, None) for mean in means.tolist()]
    drawn = _ratio(np.concatenate([sums @ weights for weights in _weights(users, draws, seed)], axis=1))
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=1)
    return [Interval(*map(_rounded, each)) for each in zip(means.tolist(), low.tolist(), high.tolist(), strict=True)]


def _weights(users: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each draw holds each user, shape (users, part of the draws)."""
    rng = np.random.default_rng(seed)
    part = max(1, min(draws, _CELLS // users))
    for first in range(0, draws, part):
        taken = [rng.integers(0, users, users) for _ in range(min(part, draws - first))]
        yield np.stack([np.bincount(each, minlength=users).astype(np.float64) for each in taken], axis=1)


def _ratio(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums over counts, of rows that hold them in turn; 0 where nothing is counted."""
    ratio: NDArray[np.float64] = totals[::2] / np.maximum(1.0, totals[1::2])
    return ratio


def _rounded(value: float) -> float:
    return round(value, 6)
