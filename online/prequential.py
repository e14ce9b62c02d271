"""The inner loop: each event is ranked by every expert and by the blend, and only then learned, one after the other.

It is compiled as a whole for a line-up, and runs without the interpreter. Source: Gama et al. 2013, "On evaluating
stream learning algorithms" (prequential: predict, then learn).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online import blend
from online.batch import Batch, Scores, event_of, leave
from online.candidates import FREE, free, unite
from online.compiled import compiled_long
from online.experts.base import describe_each, learn_each, nominate_each


class Predicted(NamedTuple):
    """What was said of a batch before it was learned.

    Attributes:
        ranks: of the target by the blend, by the blend at the request, and by each expert; 0 = not scored, UNRANKED =
            no score; shape (2 + E, B), int32.
        chance: p of the target and of the blend's best candidate, shape (2, B), float32; see `blend.rank_and_learn`.
    """

    ranks: NDArray[np.int32]
    chance: Scores


class Scored(NamedTuple):
    """Candidates and their scores by the blend: of event e the first n[e]; shapes (B, C), (B, C) and (B,)."""

    item: NDArray[np.int32]
    score: Scores
    n: NDArray[np.int32]


def predict_and_learn(
    states: tuple[Any, ...], mixer: blend.BlendState, batch: Batch, shape: tuple[int, int, int], learns: bool
) -> Predicted:
    """Pass a batch's events one by one.

    Args:
        states: of the line-up's parts, prepared for the batch.
        mixer: the blend's state.
        batch: the events.
        shape: experts, items that each nominates, and features of all parts.
        learns: False for the frozen control.
    """
    B = len(batch.target)
    predicted = Predicted(np.empty((2 + shape[0], B), np.int32), np.empty((2, B), np.float32))
    _predict_and_learn(states, mixer, batch, *shape, learns, predicted.ranks, predicted.chance)
    return predicted


def score_candidates(
    states: tuple[Any, ...], mixer: blend.BlendState, batch: Batch, shape: tuple[int, int, int]
) -> Scored:
    """Score the candidates of users whose lists are due; arguments as of `predict_and_learn`. It learns nothing."""
    B, C = len(batch.target), _most(shape, len(batch.open))
    scored = Scored(np.empty((B, C), np.int32), np.empty((B, C), np.float32), np.empty(B, np.int32))
    _score_candidates(states, mixer, batch, *shape, scored.item, scored.score, scored.n)
    return scored


def _most(shape: tuple[int, int, int], items: int) -> int:
    return min(shape[0] * shape[1], items)


@compiled_long
def _predict_and_learn(
    states: Any, mixer: Any, batch: Any, experts: int, keep: int, features: int, learns: bool, ranks: Any, chance: Any
) -> None:
    N = batch.open.shape[0]
    hidden, column = batch.open == 0, np.full(N, FREE, np.int32)
    top = np.empty((experts, min(keep, N)), np.int32)
    item = np.empty(min(experts * keep, N), np.int32)
    score = np.empty(item.shape[0], np.float32)
    rank = np.empty(2 + experts, np.int32)
    p = np.empty(2, np.float32)
    for e in range(batch.target.shape[0]):
        event = event_of(batch, e, hidden)
        nominate_each(states, event, top, rank[2:])
        n = unite(top, column, item)
        logs = np.empty((features + 1, n), np.float32)
        describe_each(states, event, item[:n], logs)
        at = column[event.target] if event.scored else FREE
        blend.rank_and_learn(mixer, event, logs, at, learns, score[:n], rank[:2], p)
        ranks[:, e] = rank
        chance[:, e] = p
        free(column, item[:n])
        if learns:
            learn_each(states, event)
        leave(batch, event)


@compiled_long
def _score_candidates(
    states: Any, mixer: Any, batch: Any, experts: int, keep: int, features: int, item: Any, score: Any, count: Any
) -> None:
    N = batch.open.shape[0]
    hidden, column = batch.open == 0, np.full(N, FREE, np.int32)
    top = np.empty((experts, min(keep, N)), np.int32)
    rank = np.empty(experts, np.int32)
    for e in range(batch.target.shape[0]):
        event = event_of(batch, e, hidden)
        nominate_each(states, event, top, rank)
        n = unite(top, column, item[e])
        logs = np.empty((features + 1, n), np.float32)
        describe_each(states, event, item[e, :n], logs)
        if n:
            blend.score(mixer, event, logs, score[e, :n])
        count[e] = n
        free(column, item[e, :n])
        leave(batch, event)
