"""Serving mode: the list that a user had in hands, not the ranks that the model knew an instant before.

An event is a hit when its item is among the first ten of the newest list of its user that was made before the event's
time less the lag. A user without such a list saw none of ours: a miss. The events are the scored ones, as for HR@10.
"""

from typing import Any

import numpy as np

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
NOTE = (
    "Hits of the newest list that the user had at the event's time less the lag; a user without a list counts as a "
    "miss. `ranked` is the hit rate just before each event was learned, which a list refreshed at that instant would "
    "reach. A list is made at the end of a tick, so even lag 0 waits for that."
)


def serving(run: Outcomes, delivered: Delivered) -> dict[str, Any]:
    """Return by lag the hit rate and NDCG of delivered lists, and how many events had a list at all."""
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
    ranked = {"hr@10": _mean(hit_rate(ranks)), "ndcg@10": _mean(ndcg(ranks))}
    return {"note": NOTE, "n": len(inside), "ranked": ranked, "lags": lags}


def _mean(values: Any) -> float:
    return round(float(np.mean(values)), 6) if len(values) else 0.0
