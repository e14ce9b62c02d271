"""How HR@10 moves over a run: sliding means, as a plot shows them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.evaluation.outcomes import Outcomes

WINDOW = 10_000  # events: at HR@10 .25 its standard error is .004
POINTS = 240  # of a plotted curve, as many as a screen shows


class Curves(NamedTuple):
    """A sliding mean by model."""

    window: int  # events that each point looks back on
    at: list[int]  # accepted events up to and with each point
    hr_at_10: dict[str, list[float | None]]  # model -> mean over the window; None: nothing was scored in it


def curves(run: Outcomes, window: int = WINDOW) -> Curves:
    """Return the sliding mean of HR@10; a short run gets a shorter window, a tenth of it."""
    window = max(1, min(window, run.n // 10))
    at = points(run.n, window)
    hr = {
        model: sliding(((ranks > 0) & (ranks <= 10)).astype(np.float64), ranks > 0, at, window)
        for model, ranks in run.ranks.items()
    }
    return Curves(window, at.tolist(), hr)


def points(n: int, window: int) -> NDArray[np.int64]:
    """Return the numbers of events after which a curve has a point."""
    return np.unique(np.linspace(window, n, POINTS).astype(np.int64)) if n else np.zeros(0, np.int64)


def sliding(
    gain: NDArray[np.float64], counted: NDArray[np.bool_], at: NDArray[np.int64], window: int
) -> list[float | None]:
    """Return the mean gain of the counted events in the `window` events before each point, None where there are none.

    Args:
        gain: 0 where not counted; shape (n,).
        counted: shape (n,).
        at: see `Curves`.
        window: at least 1.
    """
    total, count = np.concatenate([[0], np.cumsum(gain)]), np.concatenate([[0], np.cumsum(counted)])
    total, count = total[at] - total[at - window], count[at] - count[at - window]
    return [round(t / c, 5) if c else None for t, c in zip(total.tolist(), count.tolist(), strict=True)]
