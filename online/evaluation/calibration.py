"""Calibration: what the blend claims with 20 % should happen one time in five."""

from typing import Any

import numpy as np

from online.evaluation.log_loss import escape
from online.evaluation.outcomes import OWN, Outcomes

BINS = 10
NOTE = (
    "The probability that the blend gave to its best candidate, less the share m of the log-loss that items outside "
    "the candidates are given, against how often that candidate was the event's item. Bins hold equally many events. "
    "The error is the mean distance of the two over all events (expected calibration error)."
)


def calibration(run: Outcomes) -> dict[str, Any]:
    """Return the bins from the least to the most certain, and the expected calibration error.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (the error; there with bins of equal width).
    """
    scored = run.scored()
    claimed = (1 - escape(run)[scored]) * run.best[scored].astype(np.float64)
    right = run.ranks[OWN][scored] == 1 if OWN in run.ranks else scored[scored]
    order = np.argsort(claimed, kind="stable")
    bins = []
    for part in np.array_split(order, BINS):
        if len(part):
            bins.append(
                {
                    "n": len(part),
                    "claimed": round(float(claimed[part].mean()), 6),
                    "happened": round(float(right[part].mean()), 6),
                }
            )
    n = max(1, len(order))
    error = sum(one["n"] * abs(one["claimed"] - one["happened"]) for one in bins) / n
    return {"model": OWN, "note": NOTE, "bins": bins, "error": round(error, 6)}
