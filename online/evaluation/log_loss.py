"""Log-loss: how surprised the blend was by what happened; smoother than a hit rate, and it punishes false certainty."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.evaluation.curves import points, sliding
from online.evaluation.outcomes import OWN, Outcomes

NOTE = (
    "-ln p of the event's item, in nats. The blend spreads its probability over its candidates; a share m of it is "
    "given to all N items of the catalogue alike, p = (1 - m) q + m / N, where m = (misses so far + 1) / (scored "
    "events so far + 2) and a miss is an item that was no candidate. So p is a probability over the whole "
    "catalogue, and no event is left out. Knowing nothing costs ln N."
)


def escape(run: Outcomes) -> NDArray[np.float64]:
    """Return m by event: the share of misses among the scored events before it, plus one of two; shape (n,)."""
    scored, missed = run.scored(), run.missed()
    before = np.cumsum(missed) - missed, np.cumsum(scored) - scored
    return np.asarray((before[0] + 1.0) / (before[1] + 2.0), np.float64)


def log_losses(run: Outcomes) -> NDArray[np.float64]:
    """Return -ln p by event as NOTE says, 0 where the event is not scored; shape (n,).

    Source: the share of misses is the escape of prediction by partial matching, by Laplace's rule.
    """
    scored, m = run.scored(), escape(run)
    q = np.where(scored & ~run.missed(), np.exp(-run.surprise.astype(np.float64)), 0.0)
    p = (1 - m) * q + m / np.maximum(1, run.catalogue)
    return np.where(scored, -np.log(p), 0.0)


def log_loss_report(run: Outcomes, window: int) -> dict[str, Any]:
    """Return the mean, that of knowing nothing, the misses, and two curves: sliding and cumulative."""
    scored = run.scored()
    n = int(np.count_nonzero(scored))
    losses = log_losses(run)
    at = points(run.n, window)
    totals, counts = np.cumsum(losses), np.cumsum(scored)
    uniform = np.log(np.maximum(1, run.catalogue[scored]).astype(np.float64))
    return {
        "model": OWN,
        "note": NOTE,
        "n": n,
        "mean": round(float(losses.sum() / n), 5) if n else None,
        "knowing_nothing": round(float(uniform.mean()), 5) if n else None,
        "missed": round(float(np.count_nonzero(run.missed()) / n), 6) if n else None,
        "window": window,
        "at": at.tolist(),
        "sliding": sliding(losses, scored, at, window),
        "cumulative": [
            round(total / count, 5) if count else None
            for total, count in zip(totals[at - 1].tolist(), counts[at - 1].tolist(), strict=True)
        ],
    }
