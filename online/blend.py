"""The blend: a log-linear model over the candidates' features, its weights by the user's context, learned online."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.candidates import Candidates
from online.compiled import compiled
from online.experts.base import Column
from online.kernels import UNRANKED, log_row, rank_of, softmax_row
from online.network import Network
from state.tables import Tables

PAST_EDGES = np.array([1, 2, 4, 8, 16, 32, 64, 128])  # events of the user before: bucket bounds
PLACE_EDGES = np.array([1, 2, 3, 6, 11, 21, 41])  # events of the basket or session before
GAP_EDGES = np.array([10_000, 60_000, 300_000, 1_800_000, 14_400_000, 86_400_000, 604_800_000])  # ms since the last
_CLIP = 5.0  # bound of one feature's gradient, so that one odd event moves little
_TOGETHER = 8  # events of one step of the network
EXPERTS_START = 0.5  # weight of all log probabilities together at the start
MIXTURE_START = 0.5  # weight of their mixture's logarithm at the start
_SHARE = 0.001  # of an expert's weight in the mixture that is spread over all at each event
_STEADY = 10_000  # events whose features the network's scales look back on


class Blend:
    """p = softmax over the candidates of z_c = sum_f (a_f + sum_k a_kf) f_c + v . softsign(W [features; context] + b).

    The sum is over the features and the logarithm of the experts' mixture, k over the buckets of the user's context,
    each with weights of its own. Log probabilities are taken relative to the candidates. The mixture's weights follow
    their experts' probabilities of what came (exponentiated gradient), by length of the past.

    Beside it, `request` is the same with weights by the time since the user's event before on top: what could be shown
    if lists were made when the user asks. It is measured, no list is made by it.

    Attributes:
        chance: p of the target and of the best candidate, for each event last ranked, shape (2, B); 0 where the target
            is no candidate, and where the event is not scored.

    Source: docs/quality.md, B2 (combiner) and D5; the weights differ a lot from log to log, so they are learned.
    """

    def __init__(
        self, columns: Sequence[Column], rate: float, mixture_rate: float, hidden: int, network_rate: float, seed: int
    ) -> None:
        """Start as the experts' mixture.

        Args:
            columns: the line-up's features.
            rate: Adagrad step of the linear weights.
            mixture_rate: step of the mixture's weights.
            hidden: units of the network.
            network_rate: Adam step of the network.
            seed: of the network's start.
        """
        self.chance: Scores = np.zeros((2, 0), np.float32)
        self._frozen = False
        self._rate = np.float32(rate)
        self._mixture_rate = np.float32(mixture_rate)
        self._mixed = np.array([f for f, column in enumerate(columns) if column.log_p], np.int64)
        M, F = len(self._mixed), len(columns) + 1
        buckets = 1 + (len(PAST_EDGES) + 1) + (len(PLACE_EDGES) + 1) + (len(PAST_EDGES) + 1) * (len(PLACE_EDGES) + 1)
        self._weights = np.zeros((buckets, F), np.float32)
        self._weights[0, self._mixed] = EXPERTS_START / M
        self._weights[0, -1] = MIXTURE_START
        self._squares = np.ones_like(self._weights)
        self._mixture = np.full((len(PAST_EDGES) + 1, M), 1 / M, np.float32)
        self._gap_weights = np.zeros(((len(PAST_EDGES) + 1) * (len(GAP_EDGES) + 2), F), np.float32)
        self._gap_squares = np.ones_like(self._gap_weights)
        self._scale = np.zeros((3, F + 2 + M), np.float32)  # events looked at, mean and variance of each input
        self._scale[2] = 1
        self._network = Network(F + 2 + M, hidden, network_rate, seed)

    def rank_and_learn(self, found: Candidates, batch: Batch) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the target's rank per event, predicted before it is learned, and by `request`; 0 where not scored."""
        ranks = np.zeros((2, len(found.n)), np.int32)
        rate = np.float32(0) if self._frozen else self._rate
        self.chance = np.zeros((2, len(found.n)), np.float32)
        bucket, by_past, by_gap = _buckets(batch)
        logs = np.empty((len(found.feature) + 1, *found.item.shape), np.float32)
        context = np.empty((len(found.n), 2 + len(self._mixed)), np.float32)
        target_p = np.empty((len(found.n), len(self._mixed)), np.float32)
        _count_context(batch.past, batch.position, context)
        for first in range(0, len(found.n), _TOGETHER):
            last = min(first + _TOGETHER, len(found.n))
            describe(
                found.feature,
                found.n,
                found.at,
                self._mixed,
                by_past,
                self._mixture,
                first,
                last,
                logs,
                context,
                target_p,
            )
            X = inputs(logs, context, found.n, self._scale, first, last)
            offset, hidden = self._network.forward(X)
            gradient = np.zeros_like(offset)
            learned = learn_linear(
                logs,
                found.n,
                found.at,
                batch.scored,
                bucket,
                by_gap,
                self._weights,
                self._squares,
                self._gap_weights,
                self._gap_squares,
                rate,
                offset,
                first,
                last,
                ranks,
                self.chance,
                gradient,
            )
            if self._frozen:
                continue
            if learned:
                self._network.step(X, hidden, gradient, learned)
            learn_mixture(target_p, found.at, by_past, self._mixture, self._mixture_rate, first, last)
            learn_scale(logs, context, found.n, found.at, self._scale, first, last)
        return ranks[0], ranks[1]

    def freeze(self) -> None:
        """Learn nothing from now on: the frozen control's blend."""
        self._frozen = True

    def score(self, found: Candidates, batch: Batch) -> Scores:
        """Return z of every candidate, shape (B, C); it learns nothing."""
        bucket, by_past, _ = _buckets(batch)
        B = len(found.n)
        logs = np.empty((len(found.feature) + 1, *found.item.shape), np.float32)
        context = np.empty((B, 2 + len(self._mixed)), np.float32)
        _count_context(batch.past, batch.position, context)
        describe(
            found.feature,
            found.n,
            np.full(B, -1, np.int32),
            self._mixed,
            by_past,
            self._mixture,
            0,
            B,
            logs,
            context,
            np.empty((B, len(self._mixed)), np.float32),
        )
        offset, _ = self._network.forward(inputs(logs, context, found.n, self._scale, 0, B))
        score = np.empty(found.item.shape, np.float32)
        score_linear(logs, found.n, bucket, self._weights, offset, score)
        return score

    def tables(self) -> Tables:
        """Return all that was learned, accumulators included; views, not copies."""
        network = {f"network.{name}": table for name, table in self._network.tables().items()}
        return {name: getattr(self, f"_{name}") for name in _TABLES} | network

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        for name in _TABLES:
            setattr(self, f"_{name}", np.array(tables[name], np.float32))
        start = "network."
        self._network.load(
            {name.removeprefix(start): table for name, table in tables.items() if name.startswith(start)}
        )


_TABLES = ("weights", "squares", "mixture", "gap_weights", "gap_squares", "scale")


def _buckets(batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the weights for each event, shape (B, 4), of the mixture's and of the gap's, shape (B,)."""
    past = np.searchsorted(PAST_EDGES, batch.past, side="right")
    place = np.searchsorted(PLACE_EDGES, batch.position, side="right")
    gap = np.where(batch.gap_ms < 0, len(GAP_EDGES) + 1, np.searchsorted(GAP_EDGES, batch.gap_ms, side="right"))
    P, S = len(PAST_EDGES) + 1, len(PLACE_EDGES) + 1
    rows = np.stack([np.zeros_like(past), 1 + past, 1 + P + place, 1 + P + S + past * S + place], axis=1)
    return rows, past, past * (len(GAP_EDGES) + 2) + gap


@compiled
def _count_context(past: Any, place: Any, context: Any) -> None:
    """Write log(1 + events before) and log(1 + events of the basket before), the first two columns of the context."""
    log = np.empty(len(past), np.float32)
    for column, counts in enumerate((past, place)):
        log_row((1 + counts).astype(np.float32), log)
        context[:, column] = log


@compiled
def describe(
    feature: Any,
    n: Any,
    at: Any,
    mixed: Any,
    by_past: Any,
    mixture: Any,
    first: int,
    last: int,
    logs: Any,
    context: Any,
    target_p: Any,
) -> None:
    """Write the features relative to the candidates, the mixture's logarithm, and how sure each expert is.

    Args:
        feature, n, at: see `Candidates`.
        mixed: rows of `feature` that are log probabilities, shape (M,).
        by_past: row of `mixture` of each event, shape (B,).
        mixture: weights, shape (rows, M).
        first, last: the events to look at.
        logs: shape (F + 1, B, C), float32, written.
        context: log probability of each expert's best candidate from column 2 on, shape (B, 2 + M), written.
        target_p: probability of the target by each expert, shape (B, M), written.
    """
    F, M = feature.shape[0], len(mixed)
    C = feature.shape[2]
    p, mix, powers = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.int32)
    powers_as_float = powers.view(np.float32)
    best = np.empty(M, np.float32)
    log_best = np.empty(M, np.float32)
    for e in range(first, last):
        m = n[e]
        if m == 0:
            context[e, 2:] = np.float32(0)
            continue
        mix[:m] = np.float32(0)
        for x in range(M):
            row = feature[mixed[x], e, :m]
            softmax_row(row, row.max(), p[:m], powers[:m], powers_as_float[:m])
            weight = mixture[by_past[e], x]
            for c in range(m):
                mix[c] += weight * p[c]
            best[x] = p[:m].max()
            if at[e] >= 0:
                target_p[e, x] = p[at[e]]
        log_row(best, log_best)
        log_row(mix[:m], logs[F, e])
        for f in range(F):
            for c in range(m):
                logs[f, e, c] = feature[f, e, c]
        for x in range(M):
            row = logs[mixed[x], e, :m]
            shift = log_best[x] - row.max()
            for c in range(m):
                row[c] += shift
            context[e, 2 + x] = log_best[x]


@compiled
def inputs(logs: Any, context: Any, n: Any, scale: Any, first: int, last: int) -> Any:
    """Return the network's inputs, shape (F + K, (last - first) * C): features, context, standardised; 0 beyond n."""
    F, _, C = logs.shape
    K = context.shape[1]
    X = np.zeros((F + K, (last - first) * C), np.float32)
    for f in range(F + K):
        inverse = np.float32(1) / (np.float32(np.sqrt(scale[2, f])) + np.float32(0.1))
        for e in range(first, last):
            out = X[f, (e - first) * C : (e - first) * C + n[e]]
            if f < F:
                row = logs[f, e]
                for c in range(n[e]):
                    out[c] = max(np.float32(-_CLIP), min(np.float32(_CLIP), (row[c] - scale[1, f]) * inverse))
            else:
                out[:] = max(np.float32(-_CLIP), min(np.float32(_CLIP), (context[e, f - F] - scale[1, f]) * inverse))
    return X


@compiled
def learn_scale(logs: Any, context: Any, n: Any, at: Any, scale: Any, first: int, last: int) -> None:
    """Follow mean and variance of each input over the newest _STEADY events."""
    F = logs.shape[0]
    for e in range(first, last):
        if at[e] < 0:
            continue
        for f in range(scale.shape[1]):
            scale[0, f] = min(scale[0, f] + np.float32(1), np.float32(_STEADY))
            mean = np.float32(0)
            square = np.float32(0)
            if f < F:
                row = logs[f, e, : n[e]]
                for c in range(n[e]):
                    d = row[c] - scale[1, f]
                    mean += d
                    square += d * d
                mean /= np.float32(n[e])
                square /= np.float32(n[e])
            else:
                mean = context[e, f - F] - scale[1, f]
                square = mean * mean
            scale[1, f] += mean / scale[0, f]
            scale[2, f] += (square - scale[2, f]) / scale[0, f]


@compiled
def learn_mixture(target_p: Any, at: Any, by_past: Any, mixture: Any, rate: Any, first: int, last: int) -> None:
    """Multiply each expert's weight by exp(rate (its probability of the target over the mixture's - 1)), and share."""
    M = mixture.shape[1]
    for e in range(first, last):
        if at[e] < 0:
            continue
        weights = mixture[by_past[e]]
        p = np.float32(0)
        for x in range(M):
            p += weights[x] * target_p[e, x]
        total = np.float32(0)
        for x in range(M):
            step = min(np.float32(1), rate * (target_p[e, x] / p - np.float32(1)))
            weights[x] *= np.float32(1) + step + np.float32(0.5) * step * step  # exp, to the second order
            total += weights[x]
        for x in range(M):
            weights[x] = np.float32(1 - _SHARE) * weights[x] / total + np.float32(_SHARE / M)


@compiled
def _total(weights: Any, rows: Any, total: Any) -> None:
    """Write the sum of some rows of the weights."""
    for f in range(total.shape[0]):
        total[f] = np.float32(0)
        for b in rows:
            total[f] += weights[b, f]


@compiled
def _add_weighted(logs: Any, e: int, total: Any, z: Any) -> None:
    """Add the weighted features of event e's candidates to z, shape (n,)."""
    for f in range(total.shape[0]):
        row = logs[f, e]
        for c in range(z.shape[0]):
            z[c] += total[f] * row[c]


@compiled
def score_linear(logs: Any, n: Any, bucket: Any, weights: Any, offset: Any, score: Any) -> None:
    """Write z of every candidate; `offset` is the network's part, shape (B * C,)."""
    C = logs.shape[2]
    total = np.empty(logs.shape[0], np.float32)
    for e in range(logs.shape[1]):
        z = score[e, : n[e]]
        z[:] = offset[e * C : e * C + n[e]]
        _total(weights, bucket[e], total)
        _add_weighted(logs, e, total, z)


@compiled
def _step(logs: Any, e: int, p: Any, at: int, rows: Any, weights: Any, squares: Any, rate: Any) -> None:
    """Take an Adagrad step on the rows of the weights; p: the candidates' probabilities, shape (n,)."""
    for f in range(logs.shape[0]):
        row = logs[f, e]
        g = np.float32(0)
        for c in range(p.shape[0]):
            g += p[c] * row[c]
        g -= row[at]
        g = max(np.float32(-_CLIP), min(np.float32(_CLIP), g))
        for b in rows:
            squares[b, f] += g * g
            weights[b, f] -= rate / np.float32(np.sqrt(squares[b, f])) * g


@compiled
def learn_linear(
    logs: Any,
    n: Any,
    at: Any,
    scored: Any,
    bucket: Any,
    by_gap: Any,
    weights: Any,
    squares: Any,
    gap_weights: Any,
    gap_squares: Any,
    rate: Any,
    offset: Any,
    first: int,
    last: int,
    ranks: Any,
    chance: Any,
    gradient: Any,
) -> int:
    """Event by event: score the candidates, rank the target, and then take a step; return the number of steps.

    Args:
        logs: of `describe`; n, at: see `Candidates`; scored: see `Batch`.
        bucket, by_gap: of `_buckets`.
        weights, squares, gap_weights, gap_squares: changed.
        rate: Adagrad step.
        offset: the network's part of z, shape ((last - first) * C,).
        first, last: the events.
        ranks: shape (2, B), int32, written.
        chance: see `Blend.chance`, written.
        gradient: of the loss by z, shape ((last - first) * C,), written.
    """
    F, _, C = logs.shape
    total = np.empty(F, np.float32)
    score, p, powers = np.empty(C, np.float32), np.empty(C, np.float32), np.empty(C, np.int32)
    powers_as_float = powers.view(np.float32)
    steps = 0
    for e in range(first, last):
        if not scored[e]:
            continue
        m = n[e]
        if m == 0:
            ranks[:, e] = UNRANKED
            continue
        z = score[:m]
        z[:] = offset[(e - first) * C : (e - first) * C + m]
        _total(weights, bucket[e], total)
        _add_weighted(logs, e, total, z)
        softmax_row(z, z.max(), p[:m], powers[:m], powers_as_float[:m])
        chance[1, e] = p[:m].max()
        if at[e] < 0:
            ranks[:, e] = UNRANKED
            continue
        ranks[0, e] = rank_of(z, at[e])
        chance[0, e] = p[at[e]]
        for c in range(m):
            gradient[(e - first) * C + c] = p[c]
        gradient[(e - first) * C + at[e]] -= np.float32(1)
        if rate > 0:
            _step(logs, e, p[:m], at[e], bucket[e], weights, squares, rate)
        rows = by_gap[e : e + 1]
        _total(gap_weights, rows, total)
        _add_weighted(logs, e, total, z)
        ranks[1, e] = rank_of(z, at[e])
        softmax_row(z, z.max(), p[:m], powers[:m], powers_as_float[:m])
        if rate > 0:
            _step(logs, e, p[:m], at[e], rows, gap_weights, gap_squares, rate)
        steps += 1
    return steps
