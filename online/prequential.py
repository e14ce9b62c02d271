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
from online.compiled import compiled, compiled_long
from online.experts.base import describe_each, learn_each, nominate_each
from online.kernels import UNRANKED, rank_of, softmax_row

BLEND = -1  # who is served, where it is no feature


class Predicted(NamedTuple):
    """What was said of a batch before it was learned.

    Attributes:
        ranks: of the target by the blend, by the blend at the request, and by each expert; 0 = not scored, UNRANKED =
            no score; shape (2 + E, B), int32.
        served: the target's rank by who is served, the blend or a feature; shape (B,).
        chance: p of the target and of the best candidate by who is served, (2, B), float32; see `blend.rank_and_learn`.
    """

    ranks: NDArray[np.int32]
    served: NDArray[np.int32]
    chance: Scores


class Scored(NamedTuple):
    """Candidates and their scores by who is served: of event e the first n[e]; shapes (B, C), (B, C) and (B,).

    Attributes:
        terms: see `blend.weigh`, shape (B, F + 1, C); of no event where they are not asked for.
    """

    item: NDArray[np.int32]
    score: Scores
    n: NDArray[np.int32]
    terms: Scores


def predict_and_learn(
    states: tuple[Any, ...], mixer: blend.BlendState, batch: Batch, shape: tuple[int, int, int], learns: bool,
    feature: int = BLEND,
) -> Predicted:  # fmt: skip
    """Pass a batch's events one by one.

    Args:
        states: of the line-up's parts, prepared for the batch.
        mixer: the blend's state.
        batch: the events.
        shape: experts, items that each nominates, and features of all parts.
        learns: False for the frozen control.
        feature: log probabilities by which candidates are served; BLEND: by the blend.
    """
    B = len(batch.target)
    ranks, served = np.empty((2 + shape[0], B), np.int32), np.empty(B, np.int32)
    predicted = Predicted(ranks, served, np.empty((2, B), np.float32))
    _predict_and_learn(states, mixer, batch, *shape, learns, feature, *predicted)
    return predicted


def score_candidates(
    states: tuple[Any, ...], mixer: blend.BlendState, batch: Batch, shape: tuple[int, int, int],
    feature: int = BLEND, weighs: bool = False,
) -> Scored:  # fmt: skip
    """Score the candidates of users whose lists are due, and say why if `weighs`; it learns nothing.

    The other arguments are those of `predict_and_learn`.
    """
    B, C = len(batch.target), _most(shape, len(batch.open))
    terms = np.empty((B if weighs else 0, shape[2] + 1, C), np.float32)
    scored = Scored(np.empty((B, C), np.int32), np.empty((B, C), np.float32), np.empty(B, np.int32), terms)
    _score_candidates(states, mixer, batch, *shape, feature, *scored)
    return scored


def _most(shape: tuple[int, int, int], items: int) -> int:
    return min(shape[0] * shape[1], items)


@compiled_long
def _predict_and_learn(
    states: Any, mixer: Any, batch: Any, experts: int, keep: int, features: int, learns: bool, feature: int,
    ranks: Any, served: Any, chance: Any,
) -> None:  # fmt: skip
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
        served[e] = rank[0] if feature == BLEND or not event.scored else _rank(logs[feature], at, p)
        chance[:, e] = p
        free(column, item[:n])
        if learns:
            learn_each(states, event)
        leave(batch, event)


@compiled
def _rank(row: Any, at: int, chance: Any) -> int:
    """Return the target's rank by log probabilities of the candidates, shape (n,), and write the chances.

    Args:
        row: shape (n,), float32.
        at: the target's column, FREE where it is none.
        chance: as of `blend.rank_and_learn`.
    """
    chance[:] = np.float32(0)
    n = row.shape[0]
    if n == 0:
        return UNRANKED
    p, powers = np.empty(n, np.float32), np.empty(n, np.int32)
    softmax_row(row, row.max(), p, powers, powers.view(np.float32))
    chance[1] = p.max()
    if at == FREE:
        return UNRANKED
    chance[0] = p[at]
    return rank_of(row, at)  # type: ignore[no-any-return]


@compiled_long
def _score_candidates(
    states: Any, mixer: Any, batch: Any, experts: int, keep: int, features: int, feature: int, item: Any, score: Any,
    count: Any, terms: Any,
) -> None:  # fmt: skip
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
        if feature != BLEND:
            score[e, :n] = logs[feature]
            if terms.shape[0]:
                terms[e, :, :n] = np.float32(0)
                terms[e, feature, :n] = logs[feature]
        elif n:
            blend.score(mixer, event, logs, score[e, :n])
            if terms.shape[0]:
                blend.weigh(mixer, event, logs, terms[e, :, :n])
        count[e] = n
        free(column, item[e, :n])
        leave(batch, event)
