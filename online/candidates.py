"""Candidates: the union of the experts' exact top lists, described by all experts and signals."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.compiled import compiled
from online.experts.ensemble import Ensemble

_FREE = -1


class Candidates(NamedTuple):
    """What the blend chooses from; columns beyond `n` are undefined. `E` experts, `B` events, `F` features.

    Attributes:
        item: rows of the catalogue, shape (B, C), int32.
        n: candidates per event, shape (B,), int32.
        at: column of the target, -1 where it is no candidate or the event is not scored, shape (B,), int32.
        rank: the target's rank by each expert, shape (E, B), int32; see `Expert.nominate`.
        feature: the line-up's columns, shape (F, B, C), float32.
    """

    item: NDArray[np.int32]
    n: NDArray[np.int32]
    at: NDArray[np.int32]
    rank: NDArray[np.int32]
    feature: Scores


def find_candidates(experts: Ensemble, batch: Batch, keep: int) -> Candidates:
    """Rank the targets by every expert, unite their best `keep` items that each event may show, and describe these."""
    E, B, N = len(experts.lineup.experts), len(batch.target), len(batch.open)
    keep = min(keep, N)
    top = np.empty((E, B, keep), np.int32)
    rank = np.empty((E, B), np.int32)
    experts.nominate(batch, top, rank)
    item = np.empty((B, min(E * keep, N)), np.int32)
    n, at = np.empty(B, np.int32), np.empty(B, np.int32)
    _unite(top, batch.target, batch.scored, np.full(N, _FREE, np.int32), item, n, at)
    feature = np.empty((len(experts.lineup.columns), *item.shape), np.float32)
    first = 0
    for part in experts.lineup.parts:
        last = first + len(part.columns)
        part.features(batch, item, n, feature[first:last])
        first = last
    return Candidates(item, n, at, rank, feature)


@compiled
def _unite(top: Any, target: Any, scored: Any, column: Any, item: Any, count: Any, at: Any) -> None:
    """Put the distinct items of all top lists beside each other; `column` is scratch: _FREE or the item's column."""
    for e in range(top.shape[1]):
        n = 0
        for x in range(top.shape[0]):
            for j in top[x, e]:
                if j >= 0 and column[j] == _FREE:
                    column[j] = n
                    item[e, n] = j
                    n += 1
        count[e] = n
        at[e] = column[target[e]] if scored[e] else -1
        for k in range(n):
            column[item[e, k]] = _FREE
