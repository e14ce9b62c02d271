"""Calibration: what the blend claims with 20 % should happen one time in five."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.evaluation.log_loss import escape
from online.evaluation.outcomes import OWN, Outcomes

BINS = 10
NOTE = (
    "The probability that the blend gave to its best candidate against how often that candidate was the event's item; "
    "of all events, where it is less the share m that the log-loss gives to items outside the candidates, and of those "
    "events whose item was a candidate, where it is the blend's own. Bins hold equally many events; the error is the "
    "mean distance of the two."
)


def calibration(run: Outcomes) -> dict[str, Any]:
    """Return the bins from the least to the most certain, and the expected calibration error.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (the error; there with bins of equal width).
    """
    scored = run.scored()
    found = scored & ~run.missed()
    right = run.ranks[OWN] == 1 if OWN in run.ranks else scored
    best = run.best.astype(np.float64)
    return {
        "model": OWN,
        "note": NOTE,
        "catalogue": _bins(((1 - escape(run)) * best)[scored], right[scored]),
        "candidates": _bins(best[found], right[found]),
    }


def _bins(claimed: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    order = np.argsort(claimed, kind="stable")
    bins = [
        {
            "n": len(part),
            "claimed": round(float(claimed[part].mean()), 6),
            "happened": round(float(right[part].mean()), 6),
        }
        for part in np.array_split(order, BINS)
        if len(part)
    ]
    error = sum(one["n"] * abs(one["claimed"] - one["happened"]) for one in bins) / max(1, len(order))
    return {"bins": bins, "error": round(error, 6)}
