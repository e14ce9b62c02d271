"""Measures of ranks: every accepted event was ranked over the whole catalogue before it was learned.

One item is relevant to an event, the event's own. So recall@k is the hit rate, precision@k a k-th of it, F1@k their
harmonic mean, and average precision@k is the reciprocal rank: of single events these are one measure in five names.
Those of whole lists against all that the user did next are in `online.evaluation.lists`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.evaluation.outcomes import Outcomes
from online.evaluation.slices import HEADLINES, slice_masks
from online.kernels import UNRANKED

CUTS = (10, 20)  # lengths of the top of the list that count

Metrics = dict[str, dict[str, dict[str, float]]]
Gain = NDArray[np.float64]


def hit_rate(ranks: NDArray[np.int32], k: int = 10) -> Gain:
    """Return HR@k by event: 1 where 1 <= rank <= k; shape (n,)."""
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def ndcg(ranks: NDArray[np.int32], k: int = 10) -> Gain:
    """Return NDCG@k by event: 1 / log2(1 + rank) where 1 <= rank <= k; shape (n,)."""
    gain = np.zeros(len(ranks))
    top = (ranks > 0) & (ranks <= k)
    gain[top] = 1 / np.log2(1.0 + ranks[top])
    return gain


def reciprocal(ranks: NDArray[np.int32], k: int = UNRANKED - 1) -> Gain:
    """Return the reciprocal rank by event where 1 <= rank <= k, which is also average precision@k; shape (n,)."""
    gain = np.zeros(len(ranks))
    top = (ranks > 0) & (ranks <= k)
    gain[top] = 1.0 / ranks[top]
    return gain


def auc(ranks: NDArray[np.int32], catalogue: NDArray[np.int32]) -> Gain:
    """Return by event the share of the catalogue's other items that rank below; 0 without a score; shape (n,).

    An item without a score ranks last, as the protocol has it; so of a model that scores only some items (rules, text,
    the blend with its candidates) this is a lower bound.
    """
    below = 1 - (ranks - 1.0) / np.maximum(1, catalogue - 1)
    return np.where(ranks > 0, np.maximum(0.0, below), 0.0)


def measure(run: Outcomes) -> Metrics:
    """Return model -> slice -> `n` and the means of `hr@k`, `ndcg@k` (k = 10, 20) and `mrr@10` over the scored events.

    The slices are HEADLINES. An event with rank 0 is not counted.
    """
    masks = {name: mask for name, mask in slice_masks(run).items() if name in HEADLINES}
    return {
        model: {name: _means(ranks[mask & (ranks > 0)]) for name, mask in masks.items()}
        for model, ranks in run.ranks.items()
    }


def more_measures(run: Outcomes) -> dict[str, dict[str, float]]:
    """Return model -> further means over all scored events, and the hit rate in which each item counts the same."""
    return {model: _more(run, ranks) for model, ranks in run.ranks.items()}


def debiased_hit_rate(item: NDArray[np.int32], hit: Gain) -> float:
    """Return the hit rate with each event weighed 1 / (events of its item): the mean over items of their hit rates.

    A model that shows popular items only has a high hit rate and a low one here.
    """
    if not len(item):
        return 0.0
    _, codes, counts = np.unique(item, return_inverse=True, return_counts=True)
    return _rounded(float(np.mean(np.bincount(codes, hit) / counts)))


def hits(ranks: Iterable[int], k: int = 10) -> tuple[int, int]:
    """Return how many events were hit in the top `k`, and how many were scored: for progress, tick by tick."""
    row = np.fromiter(ranks, np.int64)
    return int(np.count_nonzero((row > 0) & (row <= k))), int(np.count_nonzero(row))


def standard_error(mean: float, n: float) -> float:
    """Return the standard error of a hit rate over `n` events, as if they were independent."""
    return float(np.sqrt(max(0.0, mean * (1 - mean)) / n)) if n else 0.0


def _means(ranks: NDArray[np.int32]) -> dict[str, float]:
    n = len(ranks)
    means: dict[str, float] = {"n": n}
    for k in CUTS:
        means[f"hr@{k}"] = mean(hit_rate(ranks, k))
        means[f"ndcg@{k}"] = mean(ndcg(ranks, k))
        if k == CUTS[0]:
            means[f"mrr@{k}"] = mean(reciprocal(ranks, k))
    return means


def _more(run: Outcomes, all_ranks: NDArray[np.int32]) -> dict[str, float]:
    scored = all_ranks > 0
    ranks, k = all_ranks[scored], CUTS[0]
    hit = hit_rate(ranks, k)
    recall = mean(hit)
    return {
        "n": len(ranks),
        "standard_error_hr@10": _rounded(standard_error(recall, len(ranks))),
        "mrr": mean(reciprocal(ranks)),
        "map@10": mean(reciprocal(ranks, k)),
        "recall@10": recall,
        "precision@10": _rounded(recall / k),
        "f1@10": _rounded(2 * recall / (k + 1)),
        "auc": mean(auc(ranks, run.catalogue[scored])),
        "debiased_hr@10": debiased_hit_rate(run.item[scored], hit),
    }


def mean(values: NDArray[Any]) -> float:
    """Return the mean as reports tell it, to six digits; 0 of nothing."""
    return _rounded(float(np.mean(values))) if len(values) else 0.0


def _rounded(value: float) -> float:
    return round(value, 6)
