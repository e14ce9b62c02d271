"""RAISGD: incremental matrix factorisation from positives, with the items unseen for longest as negatives."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.compiled import compiled


class Raisgd:
    """r_ui = a_u . b_i, pulled to 1 by an event, and to 0 for the items whose last event is longest ago.

    A negative moves the user alone, and goes to the end of the queue. An item without an event has no score. Rate,
    decay and number of negatives are the best of 16 tried on the first events of both example logs, among those that
    stay finite over all of Online Retail: a rate of .3 with a decay of .001 did not. An error is bounded by 2.

    Source: Vinagre, Jorge, Gama 2015, "Collaborative filtering with recency-based negative feedback" (SAC).
    """

    def __init__(
        self,
        users: int,
        items: int,
        *,
        factors: int = 64,
        rate: float = 0.2,
        decay: float = 0.01,
        negatives: int = 20,
        seed: int = 7,
    ) -> None:
        """Start from small random factors.

        Args:
            users, items: how many there will be.
            factors: of a user and of an item.
            rate: of the gradient step.
            decay: L2, per step.
            negatives: items pulled to 0 at each event.
            seed: of the factors.
        """
        self.name = "raisgd"
        rng = np.random.default_rng(seed)
        self._a = rng.normal(0, 0.1, (users, factors)).astype(np.float32)
        self._b = rng.normal(0, 0.1, (items, factors)).astype(np.float32)
        self._step = np.float32(rate), np.float32(decay)
        self._negatives = negatives
        self._queue = np.full((items + 1, 2), -1, np.int64)  # item -> item before and after; the last row: its two ends
        self._queue[items] = items

    def scores(self, user: int) -> NDArray[np.float64]:
        """See `Peer`."""
        scores: NDArray[np.float64] = (self._b @ self._a[user]).astype(np.float64)
        scores[self._queue[:-1, 0] < 0] = -np.inf
        return scores

    def learn(self, user: int, item: int) -> None:
        """See `Peer`."""
        _learn(self._a[user], self._b, item, self._queue, self._negatives, *self._step)


@compiled
def _learn(a: Any, b: Any, item: int, queue: Any, negatives: int, rate: Any, decay: Any) -> None:
    """Take the negatives from the head of the queue, then the positive; `a` has shape (factors,)."""
    end = queue.shape[0] - 1
    last = queue[end, 0]
    for _ in range(negatives):
        j = queue[end, 1]
        if j == end:
            break
        error = _error(np.float32(0), a, b[j])
        for f in range(a.shape[0]):
            a[f] += rate * (error * b[j, f] - decay * a[f])
        _to_the_end(j, queue)
        if j == last:  # each at most once
            break
    error = _error(np.float32(1), a, b[item])
    for f in range(a.shape[0]):
        of_a = a[f]
        a[f] += rate * (error * b[item, f] - decay * of_a)
        b[item, f] += rate * (error * of_a - decay * b[item, f])
    _to_the_end(item, queue)


@compiled
def _error(target: Any, a: Any, b: Any) -> Any:
    """Return target - a . b, bounded."""
    for f in range(a.shape[0]):
        target -= a[f] * b[f]
    return max(np.float32(-2), min(np.float32(2), target))


@compiled
def _to_the_end(item: int, queue: Any) -> None:
    """Take an item out of the queue where it is in it, and put it behind the last."""
    end = queue.shape[0] - 1
    before, after = queue[item, 0], queue[item, 1]
    if before >= 0:
        queue[before, 1] = after
        queue[after, 0] = before
    last = queue[end, 0]
    queue[last, 1] = item
    queue[item, 0] = last
    queue[item, 1] = end
    queue[end, 0] = item
