"""Serving mode: the list that a user had in hands, not the ranks that the model knew an instant before.

An event is a hit when its item is among the first ten of the newest list of its user that was made before the event's
time less the lag. A user without such a list saw none of ours: a miss. The events are the scored ones, as for HR@10.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.evaluation.delivered import Delivered
from online.evaluation.outcomes import OWN, Outcomes
from online.evaluation.ranks import hit_rate, mean, ndcg

LAGS_MS = {
    "0 s": 0,
    "1 s": 1_000,
    "10 s": 10_000,
    "1 min": 60_000,
    "10 min": 600_000,
    "1 h": 3_600_000,
    "1 day": 86_400_000,
}
AGES_MS = {
    "to 1 min": 60_000,
    "to 10 min": 600_000,
    "to 1 h": 3_600_000,
    "to 1 day": 86_400_000,
    "to 1 week": 7 * 86_400_000,
    "older": 1 << 62,
}
"""How old the list was when the event came -> upper bound, ms."""

NOTE = (
    "Hits of the newest list that the user had at the event's time less the lag; a user without a list counts as a "
    "miss. `ranked` is the hit rate just before each event was learned, which a list refreshed at that instant would "
    "reach. A list is made at the end of a tick in which its user acted, so even lag 0 waits for that, and a list "
    "grows old while its user is away: `ages` holds both against each other by the age of the list, without a lag."
)


def serving(run: Outcomes, delivered: Delivered) -> dict[str, Any]:
    """Return the hit rate of delivered lists by lag and by age, over the scored events."""
    inside = np.flatnonzero(run.scored())
    events = _Events(run.user[inside], run.item[inside], run.at_ms[inside])
    ranks = run.ranks[OWN][inside] if OWN in run.ranks else np.zeros(0, np.int32)
    return {
        "note": NOTE,
        "n": len(inside),
        "ranked": {"hr@10": mean(hit_rate(ranks)), "ndcg@10": mean(ndcg(ranks))},
        "lags": [_at_lag(events, delivered, name, lag_ms) for name, lag_ms in LAGS_MS.items()],
        "ages": _by_age(events, delivered, hit_rate(ranks)),
    }


class _Events(NamedTuple):
    """Columns of the scored events."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    at_ms: NDArray[np.int64]


def _at_lag(events: _Events, delivered: Delivered, name: str, lag_ms: int) -> dict[str, Any]:
    """Return the hits of the lists that were there `lag_ms` before, and how many events had one."""
    place = delivered.newest(events.user, events.at_ms - lag_ms)
    position = delivered.position(place, events.item)
    there, hit = place >= 0, position > 0
    return {
        "lag": name,
        "lag_ms": lag_ms,
        "hr@10": mean(hit),
        "ndcg@10": mean(ndcg(position)),
        "with_list": mean(there),
        "hr@10_with_list": mean(hit[there]),
    }


def _by_age(events: _Events, delivered: Delivered, at_once: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return by age of the newest list its hits, and those of the ranks at once, shape (events,)."""
    place = delivered.newest(events.user, events.at_ms)
    hit = delivered.position(place, events.item) > 0
    made_ms = delivered.at_ms[place] if len(delivered.at_ms) else np.zeros(len(place), np.int64)
    bucket = np.searchsorted(list(AGES_MS.values()), events.at_ms - made_ms, side="right")
    bucket[place < 0] = len(AGES_MS)
    return [
        {
            "age": name,
            "n": int(np.count_nonzero(bucket == k)),
            "hr@10": mean(hit[bucket == k]),
            "ranked_hr@10": mean(at_once[bucket == k]),
        }
        for k, name in enumerate([*AGES_MS, "no list"])
    ]
