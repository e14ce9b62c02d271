"""The blend: a log-linear model over the candidates' features, its weights by the user's context, learned online."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.candidates import Candidates
from online.compiled import compiled
from online.experts.base import Column
from online.kernels import log_row
from online.linear import learn_linear, score_linear
from online.mixture import describe, learn_mixture
from online.network import Network, inputs, learn_scale
from state.tables import Tables

PAST_EDGES = np.array([1, 2, 4, 8, 16, 32, 64, 128])  # events of the user before: bucket bounds
PLACE_EDGES = np.array([1, 2, 3, 6, 11, 21, 41])  # events of the basket or session before
GAP_EDGES = np.array([10_000, 60_000, 300_000, 1_800_000, 14_400_000, 86_400_000, 604_800_000])  # ms since the last
_TOGETHER = 8  # events of one step of the network
EXPERTS_START = 0.5  # weight of all log probabilities together at the start
MIXTURE_START = 0.5  # weight of their mixture's logarithm at the start


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
                found.feature, found.n, found.at, self._mixed, by_past, self._mixture, first, last, logs, context,
                target_p,
            )  # fmt: skip
            X = inputs(logs, context, found.n, self._scale, first, last)
            offset, hidden = self._network.forward(X)
            gradient = np.zeros_like(offset)
            learned = learn_linear(
                logs, found.n, found.at, batch.scored, bucket, by_gap, self._weights, self._squares, self._gap_weights,
                self._gap_squares, rate, offset, first, last, ranks, self.chance, gradient,
            )  # fmt: skip
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
            found.feature, found.n, np.full(B, -1, np.int32), self._mixed, by_past, self._mixture, 0, B, logs, context,
            np.empty((B, len(self._mixed)), np.float32),
        )  # fmt: skip
        offset, _ = self._network.forward(inputs(logs, context, found.n, self._scale, 0, B))
        score = np.empty(found.item.shape, np.float32)
        score_linear(logs, found.n, bucket, self._weights, offset, score)
        return score

    def terms(self, found: Candidates, batch: Batch) -> Scores:
        """Return what each feature, and last the mixture, adds to z of every candidate, shape (F + 1, B, C).

        What the network adds is the rest of `score`. Columns beyond `found.n` are undefined.
        """
        bucket, by_past, _ = _buckets(batch)
        B = len(found.n)
        logs = np.zeros((len(found.feature) + 1, *found.item.shape), np.float32)
        describe(
            found.feature, found.n, np.full(B, -1, np.int32), self._mixed, by_past, self._mixture, 0, B, logs,
            np.empty((B, 2 + len(self._mixed)), np.float32), np.empty((B, len(self._mixed)), np.float32),
        )  # fmt: skip
        terms: Scores = self._weights[bucket].sum(axis=1).T[:, :, None] * logs
        return terms

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
