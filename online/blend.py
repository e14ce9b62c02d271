"""The blend: a log-linear model over the candidates' features, its weights by the user's context, learned online."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.candidates import Candidates
from online.compiled import compiled
from online.experts.base import Column
from online.kernels import UNRANKED, rank_of, softmax_row
from state.tables import Tables

PAST_EDGES = np.array([1, 2, 3, 6, 11, 21, 51])  # events of the user before: bucket bounds
SEEN_EDGES = np.array([1, 2, 3, 6, 11, 21, 41])  # items excluded now (the basket's size, where there are baskets)
_CLIP = 5.0  # bound of one feature's gradient, so that one odd event moves little
_START = 0.15  # weight of each expert at the start


class Blend:
    """z_c = sum over f of (a_f + sum over buckets k of a_kf) feature_cf, p = softmax over the candidates.

    Attributes:
        chance: p of the target and of the best candidate, for each event last ranked, shape (2, B); 0 where the target
            is no candidate, and where the event is not scored.

    Source: docs/quality.md, B2 (combiner) and D5; the weights differ a lot from log to log, so they are learned.
    """

    def __init__(self, columns: Sequence[Column], rate: float) -> None:
        """Start with equal weights of the log probabilities; `rate` is the Adagrad step."""
        self.chance: Scores = np.zeros((2, 0), np.float32)
        buckets = len(PAST_EDGES) + len(SEEN_EDGES) + 2
        self._rate = np.float32(rate)
        self._weights = np.zeros((1 + buckets, len(columns)), np.float32)
        self._weights[0] = [_START * column.log_p for column in columns]
        self._squares = np.ones_like(self._weights)

    def rank_and_learn(self, found: Candidates, batch: Batch) -> NDArray[np.int32]:
        """Return the target's rank per event, predicted before the event is learned; 0 where not scored."""
        ranks = np.zeros(len(found.n), np.int32)
        self.chance = np.zeros((2, len(found.n)), np.float32)
        _learn(
            found.feature, found.n, found.at, batch.scored, _buckets(batch), self._weights, self._squares, self._rate,
            ranks, self.chance,
        )  # fmt: skip
        return ranks

    def freeze(self) -> None:
        """Learn nothing from now on: the frozen control's blend."""
        self._rate = np.float32(0)

    def score(self, found: Candidates, batch: Batch) -> Scores:
        """Return z of every candidate, shape (B, C); it learns nothing."""
        score = np.empty(found.item.shape, np.float32)
        _score(found.feature, found.n, _buckets(batch), self._weights, score)
        return score

    def tables(self) -> Tables:
        """Return all that was learned, Adagrad accumulators included; views, not copies."""
        return {"weights": self._weights, "squares": self._squares}

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        self._weights = np.asarray(tables["weights"], np.float32)
        self._squares = np.asarray(tables["squares"], np.float32)


def _buckets(batch: Batch) -> NDArray[np.int64]:
    """Return the rows of the weights that hold for each event, shape (B, 3)."""
    past = np.searchsorted(PAST_EDGES, batch.past, side="right")
    seen = np.searchsorted(SEEN_EDGES, np.diff(batch.seen_from), side="right")
    return np.stack([np.zeros_like(past), 1 + past, 2 + len(PAST_EDGES) + seen], axis=1)


@compiled
def _score_one(feature: Any, e: int, buckets: Any, weights: Any, total: Any, score: Any) -> None:
    """Write z of event e's candidates to `score`, shape (n,), and its weights to `total`, shape (F,)."""
    score[:] = np.float32(0)
    for f in range(feature.shape[0]):
        total[f] = np.float32(0)
        for b in buckets:
            total[f] += weights[b, f]
        row = feature[f, e]
        for c in range(score.shape[0]):
            score[c] += total[f] * row[c]


@compiled
def _score(feature: Any, count: Any, bucket: Any, weights: Any, score: Any) -> None:
    """Score all events' candidates."""
    total = np.empty(feature.shape[0], np.float32)
    for e in range(feature.shape[1]):
        _score_one(feature, e, bucket[e], weights, total, score[e, : count[e]])


@compiled
def _learn(
    feature: Any, count: Any, at: Any, scored: Any, bucket: Any, weights: Any, squares: Any, rate: Any, ranks: Any,
    chance: Any,
) -> None:  # fmt: skip
    """Event by event: score the candidates, rank the target, and then take an Adagrad step."""
    F, _, C = feature.shape
    total = np.empty(F, np.float32)
    score, p, powers = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.int32)
    powers_as_float = powers.view(np.float32)
    for e in range(feature.shape[1]):
        n = count[e]
        if not scored[e]:
            continue
        if n == 0:
            ranks[e] = UNRANKED
            continue
        z = score[:n]
        _score_one(feature, e, bucket[e], weights, total, z)
        softmax_row(z, z.max(), p[:n], powers[:n], powers_as_float[:n])
        chance[1, e] = p[:n].max()
        if at[e] < 0:
            ranks[e] = UNRANKED
            continue
        ranks[e] = rank_of(z, at[e])
        chance[0, e] = p[at[e]]
        for f in range(F):
            row = feature[f, e]
            g = np.float32(0)
            for c in range(n):
                g += p[c] * row[c]
            g -= row[at[e]]
            g = max(np.float32(-_CLIP), min(np.float32(_CLIP), g))
            for b in bucket[e]:
                squares[b, f] += g * g
                weights[b, f] -= rate / np.float32(np.sqrt(squares[b, f])) * g
