"""Quality from ranks: every accepted event was ranked over the whole catalogue before it was learned."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from state.errors import HeadwaterError

CUTS = (10, 20)  # lengths of the top of the list that count
CURVE_WINDOW = 5000  # events: at HR@10 .25 its standard error is .006
CURVE_POINTS = 240  # of a plotted curve, as many as a screen shows
SLICES = {
    "all": "every event, first events of new users and new items too",
    "last_80": "without the first 20 % of events, the burn-in on which settings may be chosen",
    "last_10_known_user": "the last 10 % of events, of users who had an event before: comparable with a split by time",
}
"""Slice -> what it holds."""

Metrics = dict[str, dict[str, dict[str, float]]]


class Ranks(NamedTuple):
    """The ranks of a whole run, in the order in which events were accepted."""

    known: NDArray[np.bool_]  # the user had an event before, shape (n,)
    ranks: dict[str, NDArray[np.int32]]  # model -> rank of the event's item, shape (n,); 0: not scored


class _Tick(NamedTuple):
    """One metrics line, small in memory."""

    first: int
    tick: int
    known: NDArray[np.bool_]
    ranks: dict[str, NDArray[np.int32]]

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> "_Tick":
        ranks = {model: np.array(row, np.int32) for model, row in line["ranks"].items()}
        return cls(line["first"], line["tick"], np.array(line["known"], np.bool_), ranks)


class Curves(NamedTuple):
    """How HR@10 moves over a run."""

    window: int  # events that each point looks back on
    at: list[int]  # accepted events up to and with each point
    hr_at_10: dict[str, list[float | None]]  # model -> mean over the window; None: nothing was scored in it


def collect(lines: Iterable[Mapping[str, Any]]) -> Ranks:
    """Return the ranks in the metrics lines of a run, whatever the order of the lines.

    Args:
        lines: decoded metrics lines; those without ranks, such as the final one, are passed over.

    Raises:
        HeadwaterError: events are missing or stand twice.
    """
    ticks = sorted((_Tick.of(line) for line in lines if "ranks" in line), key=lambda tick: (tick.first, tick.tick))
    n = sum(len(tick.known) for tick in ticks)
    known = np.zeros(n, np.bool_)
    ranks = {model: np.zeros(n, np.int32) for tick in ticks for model in tick.ranks}
    upto = 0
    for tick in ticks:
        first, upto = upto, upto + len(tick.known)
        if tick.first != first:
            raise HeadwaterError(
                f"the metrics line of tick {tick.tick} starts at event {tick.first}; expected {first}, which is "
                "what the lines before it hold; a part of the metrics is missing or stands twice: run the replay again"
            )
        known[first:upto] = tick.known
        for model, row in tick.ranks.items():
            ranks[model][first:upto] = row
    return Ranks(known, ranks)


def measure(run: Ranks) -> Metrics:
    """Return model -> slice -> `n` and the means of `hr@k`, `ndcg@k` (k = 10, 20) and `mrr@10` over the scored events.

    With rank r of an event's item over the whole catalogue, ties counting against it: hr@k is 1 where r <= k, ndcg@k is
    1 / log2(1 + r) there, mrr@k is 1 / r there, and all are 0 elsewhere. An event with rank 0 is not counted.
    """
    masks = _slices(run.known)
    return {
        model: {name: _means(ranks[mask & (ranks > 0)]) for name, mask in masks.items()}
        for model, ranks in run.ranks.items()
    }


def curves(run: Ranks, window: int = CURVE_WINDOW) -> Curves:
    """Return the sliding mean of HR@10; a short run gets a shorter window, a tenth of it."""
    n = len(run.known)
    window = max(1, min(window, n // 10))
    at = np.unique(np.linspace(window, n, CURVE_POINTS).astype(np.int64)) if n else np.zeros(0, np.int64)
    return Curves(window, at.tolist(), {model: _sliding(ranks, at, window) for model, ranks in run.ranks.items()})


def hits(ranks: Iterable[int], k: int = 10) -> tuple[int, int]:
    """Return how many events were hit in the top `k`, and how many were scored: for progress, tick by tick."""
    row = np.fromiter(ranks, np.int64)
    return int(np.count_nonzero((row > 0) & (row <= k))), int(np.count_nonzero(row))


def standard_error(mean: float, n: float) -> float:
    """Return the standard error of a hit rate over `n` events."""
    return float(np.sqrt(max(0.0, mean * (1 - mean)) / n)) if n else 0.0


def _slices(known: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    n = len(known)
    index = np.arange(n)
    masks = (np.ones(n, np.bool_), index >= n // 5, (index >= n * 9 // 10) & known)
    return dict(zip(SLICES, masks, strict=True))


def _means(ranks: NDArray[np.int32]) -> dict[str, float]:
    n = len(ranks)
    means: dict[str, float] = {"n": n}
    for k in CUTS:
        top = ranks[ranks <= k].astype(np.float64)
        means[f"hr@{k}"] = _mean(float(len(top)), n)
        means[f"ndcg@{k}"] = _mean(float(np.sum(1 / np.log2(1 + top))), n)
        if k == CUTS[0]:
            means[f"mrr@{k}"] = _mean(float(np.sum(1 / top)), n)
    return means


def _mean(total: float, n: int) -> float:
    return round(total / n, 6) if n else 0.0


def _sliding(ranks: NDArray[np.int32], at: NDArray[np.int64], window: int) -> list[float | None]:
    hit = np.concatenate([[0], np.cumsum((ranks > 0) & (ranks <= CUTS[0]))])
    scored = np.concatenate([[0], np.cumsum(ranks > 0)])
    hit, scored = hit[at] - hit[at - window], scored[at] - scored[at - window]
    return [round(h / s, 5) if s else None for h, s in zip(hit.tolist(), scored.tolist(), strict=True)]
