"""The blend: a log-linear model over the candidates' features, its weights by the user's context, learned online."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.batch import Scores
from online.compiled import compiled
from online.drift import quicken
from online.experts.base import Column
from online.experts.life import NEW
from online.kernels import UNRANKED, log_row, rank_of, softmax_row
from online.linear import add_linear, step_linear
from online.mixture import learn_mixture, mix
from online.network import Network, NetworkState, forward, inputs, learn_scale, step_network
from state.tables import Tables

PAST_EDGES = np.array([1, 2, 4, 8, 16, 32, 64, 128])  # events of the user before: bucket bounds
PLACE_EDGES = np.array([1, 2, 3, 6, 11, 21, 41])  # events of the basket or session before
GAP_EDGES = np.array([10_000, 60_000, 300_000, 1_800_000, 14_400_000, 86_400_000, 604_800_000])  # ms since the last
_P, _S, _G = len(PAST_EDGES) + 1, len(PLACE_EDGES) + 1, len(GAP_EDGES) + 2
EXPERTS_START = 0.5  # weight of all log probabilities together at the start
MIXTURE_START = 0.5  # weight of their mixture's logarithm at the start
_FIRST_SQUARE = 1.0  # Adagrad accumulators start here


class BlendState(NamedTuple):
    """What the blend's kernels read and change. `F` features with the mixture's, `M` experts in the mixture.

    Attributes:
        mixed: rows of the features that are log probabilities, shape (M,).
        weights, squares: linear weights by bucket of the context, and their accumulators; shape (buckets, F).
        mixture: weights of the experts by length of the past, shape (rows, M).
        gap_weights, gap_squares: linear weights of `request` on top, by past and gap; shape (buckets, F).
        network: over the features and the context.
        rate, mixture_rate: steps of the linear weights, and of the mixture's.
        new: row of the features that is 1 for an item nobody had, -1 where none is.
        new_log_odds: added to z of such items where it is shown.
    """

    mixed: NDArray[np.int64]
    weights: Scores
    squares: Scores
    mixture: Scores
    gap_weights: Scores
    gap_squares: Scores
    network: NetworkState
    rate: np.float32
    mixture_rate: np.float32
    new: int
    new_log_odds: np.float32


class Blend:
    """p = softmax over the candidates of z_c = sum_f (a_f + sum_k a_kf) f_c + v . softsign(W [features; context] + b).

    The sum is over the features and the logarithm of the experts' mixture, k over the buckets of the user's context,
    each with weights of its own. Log probabilities are taken relative to the candidates. The mixture's weights follow
    their experts' probabilities of what came (exponentiated gradient), by length of the past.

    Beside it, `request` is the same with weights by the time since the user's event before on top: what could be shown
    if lists were made when the user asks. It is measured, no list is made by it.

    Source: docs/quality.md, B2 (combiner) and D5; the weights differ a lot from log to log, so they are learned.
    """

    def __init__(
        self, columns: Sequence[Column], rate: float, mixture_rate: float, hidden: int, network_rate: float, seed: int,
        new_item_odds: float = 1.0,
    ) -> None:  # fmt: skip
        """Start as the experts' mixture.

        Args:
            columns: the line-up's features.
            rate: Adagrad step of the linear weights.
            mixture_rate: step of the mixture's weights.
            hidden: units of the network.
            network_rate: Adam step of the network.
            seed: of the network's start.
            new_item_odds: times by which the odds of an item that nobody had are raised when it is shown, not when the
                blend learns.
        """
        new = next((f for f, column in enumerate(columns) if column.name == NEW), -1)
        mixed = np.array([f for f, column in enumerate(columns) if column.log_p], np.int64)
        M, F = len(mixed), len(columns) + 1
        weights = np.zeros((1 + _P + _S + _P * _S, F), np.float32)
        weights[0, mixed] = EXPERTS_START / M
        weights[0, -1] = MIXTURE_START
        gap_weights = np.zeros((_P * _G, F), np.float32)
        self._network = Network(F + 2 + M, hidden, network_rate, seed)
        self.state = BlendState(
            mixed, weights, np.full_like(weights, _FIRST_SQUARE), np.full((_P, M), 1 / M, np.float32), gap_weights,
            np.full_like(gap_weights, _FIRST_SQUARE), self._network.state, np.float32(rate), np.float32(mixture_rate),
            new, np.float32(np.log(new_item_odds)),
        )  # fmt: skip

    def quicken(self, times: float) -> None:
        """Let the linear weights take steps `times` as large, at most as at the start: who is right has changed."""
        for squares in (self.state.squares, self.state.gap_squares):
            quicken(squares, times, _FIRST_SQUARE)

    def tables(self) -> Tables:
        """Return all that was learned, accumulators included; views, not copies."""
        network = {f"network.{name}": table for name, table in self._network.tables().items()}
        return {name: getattr(self.state, name) for name in _TABLES} | network

    def load(self, tables: Tables) -> None:
        """Take over what `tables` returned."""
        for name, table in self.tables().items():
            table[:] = tables[name]


_TABLES = ("weights", "squares", "mixture", "gap_weights", "gap_squares")


@compiled
def score(s: Any, event: Any, logs: Any, z: Any) -> None:
    """Write z of an event's candidates, shape (n,); it learns nothing. `logs`: see `rank_and_learn`."""
    by_past, rows, _ = _buckets(event)
    context = _context(s, event)
    mix(logs, s.mixed, s.mixture[by_past], -1, context[2:], context[2:])
    forward(s.network, inputs(logs, context, s.network.scale), z)
    add_linear(logs, rows, s.weights, z)
    _favour_new(s, logs, z)


@compiled
def weigh(s: Any, event: Any, logs: Any, terms: Any) -> None:
    """Write what each feature, and last the mixture, adds to z; `logs` is what `score` made of it; both (F, n).

    What the network adds is the rest of z.
    """
    _, rows, _ = _buckets(event)
    for f in range(logs.shape[0]):
        terms[f] = np.float32(0)
        add_linear(logs[f : f + 1], rows, s.weights[:, f : f + 1], terms[f])
    if s.new >= 0:
        _favour_new(s, logs, terms[s.new])


@compiled
def rank_and_learn(s: Any, event: Any, logs: Any, at: int, learns: bool, z: Any, ranks: Any, chance: Any) -> None:
    """Score an event's candidates, rank the target, and then learn it.

    Args:
        s: see `BlendState`; changed if it learns.
        event: see `Event`.
        logs: features of the candidates, shape (F, n), float32, the last row free; changed.
        at: column of the target, -1 where it is none.
        learns: False for the frozen control.
        z: scratch, shape (n,).
        ranks: the target's rank by the blend and by `request`, shape (2,), written; 0 where the event is not scored.
        chance: p of the target and of the best candidate, shape (2,), written; 0 where the target is none, and where
            the event is not scored.
    """
    by_past, rows, by_gap = _buckets(event)
    n = logs.shape[1]
    ranks[:] = UNRANKED if event.scored else 0
    chance[:] = np.float32(0)
    if n == 0 or not event.scored:
        return
    context = _context(s, event)
    target_p = np.empty(len(s.mixed), np.float32)
    mix(logs, s.mixed, s.mixture[by_past], at, context[2:], target_p)
    X = inputs(logs, context, s.network.scale)
    hidden = forward(s.network, X, z)
    add_linear(logs, rows, s.weights, z)
    p, powers = np.empty(n, np.float32), np.empty(n, np.int32)
    powers_as_float = powers.view(np.float32)
    softmax_row(z, z.max(), p, powers, powers_as_float)
    chance[1] = p.max()
    if at < 0:
        return
    chance[0] = p[at]
    shown = z.copy()
    _favour_new(s, logs, shown)
    ranks[0] = rank_of(shown, at)
    add_linear(logs, by_gap, s.gap_weights, z)
    ranks[1] = rank_of(z, at)
    if not learns:
        return
    step_linear(logs, p, at, rows, s.weights, s.squares, s.rate)
    p[at] -= np.float32(1)
    step_network(s.network, X, hidden, p)
    softmax_row(z, z.max(), p, powers, powers_as_float)
    step_linear(logs, p, at, by_gap, s.gap_weights, s.gap_squares, s.rate)
    learn_mixture(target_p, s.mixture[by_past], s.mixture_rate)
    learn_scale(logs, context, s.network.scale)


@compiled
def _favour_new(s: Any, logs: Any, z: Any) -> None:
    """Raise what is shown of items that nobody had."""
    if s.new >= 0 and s.new_log_odds != 0:
        for c in range(z.shape[0]):
            z[c] += s.new_log_odds * logs[s.new, c]


@compiled
def _buckets(event: Any) -> Any:
    """Return the row of the mixture's weights, the four rows of the linear weights, and the one of `request`'s."""
    past, place = _bucket(PAST_EDGES, event.past), _bucket(PLACE_EDGES, event.position)
    gap = _bucket(GAP_EDGES, event.gap_ms) if event.gap_ms >= 0 else len(GAP_EDGES) + 1
    return past, (0, 1 + past, 1 + _P + place, 1 + _P + _S + past * _S + place), (past * _G + gap,)


@compiled
def _bucket(edges: Any, value: int) -> int:
    bucket = 0
    while bucket < edges.shape[0] and value >= edges[bucket]:
        bucket += 1
    return bucket


@compiled
def _context(s: Any, event: Any) -> Any:
    """Return log(1 + events before), log(1 + events of the basket before), and room for M more."""
    context = np.empty(2 + len(s.mixed), np.float32)
    counts = np.empty(2, np.float32)
    counts[0], counts[1] = np.float32(1 + event.past), np.float32(1 + event.position)
    log_row(counts, context[:2])
    return context
