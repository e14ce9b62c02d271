"""The blend by itself, over candidates made up."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online import blend as kernels
from online.batch import Batch, Scores, event_of, leave
from online.blend import Blend
from online.compiled import compiled


class Found(NamedTuple):
    """Candidates: how many and the target's column, -1 for none, by event; features, shape (F, B, C)."""

    n: list[int]
    at: list[int]
    feature: Scores


def rank_and_learn(
    blend: Blend, found: Found, batch: Batch, *, learns: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the target's rank per event, predicted before it is learned, and by `request`."""
    ranks = np.empty((2, len(found.n)), np.int32)
    _each(blend.state, batch, np.array(found.n), np.array(found.at), found.feature, learns, ranks)
    return ranks[0], ranks[1]


def score(blend: Blend, found: Found, batch: Batch) -> Scores:
    """Return z of every candidate, shape (B, C), nan beyond an event's last."""
    z = np.full(found.feature.shape[1:], np.nan, np.float32)
    _score(blend.state, batch, np.array(found.n), found.feature, z)
    return z


@compiled
def _logs(feature: Any, e: int, n: int) -> Any:
    logs = np.empty((feature.shape[0] + 1, n), np.float32)
    logs[:-1] = feature[:, e, :n]
    return logs


@compiled
def _each(s: Any, batch: Any, n: Any, at: Any, feature: Any, learns: bool, ranks: Any) -> None:
    hidden = batch.open == 0
    rank, chance = np.empty(2, np.int32), np.empty(2, np.float32)
    for e in range(len(n)):
        event = event_of(batch, e, hidden)
        z = np.empty(n[e], np.float32)
        kernels.rank_and_learn(s, event, _logs(feature, e, n[e]), at[e], learns, z, rank, chance)
        ranks[:, e] = rank
        leave(batch, event)


@compiled
def _score(s: Any, batch: Any, n: Any, feature: Any, z: Any) -> None:
    hidden = batch.open == 0
    for e in range(len(n)):
        event = event_of(batch, e, hidden)
        kernels.score(s, event, _logs(feature, e, n[e]), z[e, : n[e]])
        leave(batch, event)
