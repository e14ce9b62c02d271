"""Serving mode: the list that a user had in hands, not the ranks that the model knew an instant before.

An event is a hit when its item is among the first ten of the newest list of its user that was made before the event's
time less the lag. A user without such a list saw none of ours: a miss. The events are the scored ones, as for HR@10.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.evaluation.delivered import Delivered
from online.evaluation.outcomes import OWN, Outcomes
from online.evaluation.ranks import hit_rate, ndcg

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
    """Return by lag the hit rate and NDCG of delivered lists and how many events had one; and by age of the list."""
    inside = np.flatnonzero(run.scored())
    user, item, at_ms = run.user[inside], run.item[inside], run.at_ms[inside]
    ranks = run.ranks[OWN][inside] if OWN in run.ranks else np.zeros(0, np.int32)
    lags = []
    for name, lag_ms in LAGS_MS.items():
        place = delivered.newest(user, at_ms - lag_ms)
        position = delivered.position(place, item)
        there = place >= 0
        hit = position > 0
        lags.append(
            {
                "lag": name,
                "lag_ms": lag_ms,
                "hr@10": _mean(hit),
                "ndcg@10": _mean(ndcg(position)),
                "with_list": _mean(there),
                "hr@10_with_list": _mean(hit[there]),
            }
        )
    ages = []
    place = delivered.newest(user, at_ms)
    hit, at_once = delivered.position(place, item) > 0, hit_rate(ranks)
    age_ms = np.where(place >= 0, at_ms - _made(delivered, place), -1)
    low = 0
    for name, high in AGES_MS.items():
        of_age = (age_ms >= low) & (age_ms < high)
        n = int(np.count_nonzero(of_age))
        ages.append({"age": name, "n": n, "hr@10": _mean(hit[of_age]), "ranked_hr@10": _mean(at_once[of_age])})
        low = high
    none = place < 0
    ages.append(
        {"age": "no list", "n": int(np.count_nonzero(none)), "hr@10": 0.0, "ranked_hr@10": _mean(at_once[none])}
    )
    ranked = {"hr@10": _mean(hit_rate(ranks)), "ndcg@10": _mean(ndcg(ranks))}
    return {"note": NOTE, "n": len(inside), "ranked": ranked, "lags": lags, "ages": ages}


def _made(delivered: Delivered, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return when each list was made; of place -1 it means nothing."""
    return delivered.at_ms[place] if len(delivered.at_ms) else np.zeros(len(place), np.int64)


def _mean(values: Any) -> float:
    return round(float(np.mean(values)), 6) if len(values) else 0.0
