"""Laws of the head: its gradients against finite differences of the loss in float64."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.experts.head import Head
from online.kernels import MASKED, mask_scores
from online.sampling import draw_rows, expected_draws
from online.settings import Learning
from online.steps import mean_history, softmax_gradient
from state.tables import sha256_of
from tests.online.expert_tools import N, learn, make, random_batches, stored
from tests.small import LEARNING, copy_of, small_batch

Arrays = Mapping[str, NDArray[Any]]
NOTHING_LESS = np.zeros(N)


def test_a_repeat_teaches_the_head_nothing() -> None:
    """An event that no list could hold changes no table of the head, alone or beside others."""
    expert = learn(make("head"), random_batches(5))
    before = sha256_of(expert.tables())
    repeat = small_batch([[4, 2], [1]], [2, 1])
    assert not repeat.scored.any()
    learn(expert, [repeat])
    assert sha256_of(expert.tables()) == before


def test_a_masked_item_teaches_the_head_nothing() -> None:
    """The softmax is over the candidates: items that the user cannot be shown get no gradient as an output."""
    expert = make("head")
    before = copy_of(expert.tables())
    learn(expert, [small_batch([[4, 2]], [5])])
    after = expert.tables()
    unchanged = [row for row in range(N) if np.array_equal(before["Y"][row], after["Y"][row])]
    assert unchanged == [2, 4]


def head_loss(tables: Arrays, batch: Batch, less: NDArray[Any] = NOTHING_LESS) -> float:
    """Return the sum over the scored events of -log softmax(scores over the candidates)[target].

    With `less`, shape (N,), taken from the scores; infinity is an item outside the sample.
    """
    exact = {name: table.astype(np.float64) for name, table in tables.items()}
    loss = 0.0
    for e in np.flatnonzero(batch.scored).tolist():
        memories = []
        for which, window in enumerate((LEARNING.short_window, LEARNING.history)):
            X, positions = exact[f"X.{which}"], exact[f"positions.{which}"]
            past = batch.history[e][batch.history[e] >= 0][:window]
            weights = np.exp(positions[: len(past)])
            memories.append(weights @ X[past] / np.sqrt((weights**2).sum()) if len(past) else np.zeros(X.shape[1]))
        h = np.concatenate(memories)
        shown = np.setdiff1d(np.arange(len(exact["Y"])), batch.seen[batch.seen_from[e] : batch.seen_from[e + 1]])
        scores = exact["Y"] @ h + exact["b"] - less
        loss += np.log(np.exp(scores[shown]).sum()) - scores[batch.target[e]]
    return float(loss)


def finite_difference(
    tables: Arrays, name: str, batch: Batch, less: NDArray[Any] = NOTHING_LESS, step: float = 1e-5
) -> Scores:
    """Return the gradient of the loss by one table."""
    exact = {key: table.astype(np.float64) for key, table in tables.items()}
    gradient = np.zeros(tables[name].shape)
    for index in np.ndindex(gradient.shape):
        kept = exact[name][index]
        exact[name][index] = kept + step
        above = head_loss(exact, batch, less)
        exact[name][index] = kept - step
        gradient[index] = (above - head_loss(exact, batch, less)) / (2 * step)
        exact[name][index] = kept
    return gradient.astype(np.float32)


def taken_gradient(before: Arrays, after: Arrays, name: str, rate: float) -> Scores:
    """Return the gradient that one Adagrad step used: the way it went, times root of the new accumulator, by rate."""
    squares = after[f"squares_{name}".replace("positions", "p")]
    root = np.sqrt(squares)[:, None] if before[name].ndim == 2 else np.sqrt(squares)
    return np.asarray((before[name] - after[name]) * root / rate, np.float32)


def trained_head(learning: Learning = LEARNING) -> Head:
    expert = make("head", learning=learning)
    assert isinstance(expert, Head)
    learn(expert, random_batches(10))
    return expert


def test_score_gradient_is_the_gradient() -> None:
    """By the scores: the softmax over the candidates, minus 1 at the target, 0 for an event that is not scored."""
    batch = small_batch([[4, 2], [], [2]], [5, 0, 2])
    scores = np.random.default_rng(2).normal(size=(3, N)).astype(np.float32)
    mask_scores(scores, batch.seen, batch.seen_from, batch.open)

    def loss(scores: NDArray[Any]) -> float:
        rows = [row[row > MASKED] for row in scores]
        return float(sum(np.log(np.exp(rows[e]).sum()) - scores[e, batch.target[e]] for e in range(2)))

    expected = np.zeros(scores.shape)
    exact = scores.astype(np.float64)
    for index in np.ndindex(scores.shape):
        if scores[index] > MASKED:
            nudge = np.zeros_like(exact)
            nudge[index] = 1e-5
            expected[index] = (loss(exact + nudge) - loss(exact - nudge)) / 2e-5
    gradient = np.full_like(scores, np.nan)
    softmax_gradient(scores, scores.max(axis=1), batch.target, batch.scored, gradient)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["X.0", "X.1", "Y", "b", "positions.0", "positions.1"])
def test_head_steps_along_the_gradient(name: str) -> None:
    """One event: the Adagrad step of each table follows the finite difference of the loss by that table."""
    head = trained_head()
    before = copy_of(head.tables())
    batch = small_batch([[3, 8, 1, 10]], [5])
    learn(head, [batch])
    rate = LEARNING.position_rate if name.startswith("positions") else LEARNING.head_rate
    expected = finite_difference(before, name, batch)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(taken_gradient(before, copy_of(head.tables()), name, rate), expected, atol=2e-5)


@pytest.mark.parametrize("name", ["Y", "b"])
def test_head_sums_the_gradients_of_a_batch(name: str) -> None:
    """Several events: the outputs' step follows the gradient of the summed loss, repeats left out."""
    head = trained_head()
    before = copy_of(head.tables())
    batch = small_batch([[3, 8], [], [5, 1, 0], [6]], [5, 0, 11, 6])
    assert batch.scored.tolist() == [True, True, True, False]
    learn(head, [batch])
    expected = finite_difference(before, name, batch)
    np.testing.assert_allclose(
        taken_gradient(before, copy_of(head.tables()), name, LEARNING.head_rate), expected, atol=2e-5
    )


@pytest.mark.parametrize("name", ["X.0", "X.1", "Y", "b"])
def test_a_sampled_step_follows_the_corrected_loss(name: str) -> None:
    """Beyond `full_softmax` items: the softmax is over a sample, each score less the log of how likely it was there."""
    learning = dataclasses.replace(LEARNING, full_softmax=N - 1, negatives=4)
    head = trained_head(learning)
    before = copy_of(head.tables())
    batch = small_batch([[3, 8], [0, 2]] if "X" not in name else [[3, 8]], [5, 7] if "X" not in name else [5])
    learn(head, [batch])
    B = len(batch.target)
    rows, _ = draw_rows(learning.seed, before["drawn"].copy(), 4, batch.target, N)
    assert B <= len(rows) < N
    less = np.full(N, np.inf)
    less[rows] = np.log(expected_draws(rows, 4, B, before["counts"], before["weight"]).astype(np.float64))
    expected = finite_difference(before, name, batch, less)
    taken = taken_gradient(before, copy_of(head.tables()), name, LEARNING.head_rate)
    np.testing.assert_allclose(taken, expected, atol=2e-5)
    assert head.tables()["drawn"] == before["drawn"] + 1


def test_a_sampled_head_is_stored_whole() -> None:
    """Its place in the sequence of samples and its counts survive: what is drawn after a restore is the same."""
    learning = dataclasses.replace(LEARNING, full_softmax=0, negatives=4)
    head = trained_head(learning)
    restored = make("head", learning=learning)
    restored.load(stored(head))
    batches = random_batches(5, seed=3)
    assert sha256_of(learn(restored, batches).tables()) == sha256_of(learn(head, batches).tables())


def test_accumulators_sum_squared_norms() -> None:
    """Adagrad's memory grows by each event's squared gradient norm, so a batch counts each of its events."""
    head = trained_head()
    before = copy_of(head.tables())
    batch = small_batch([[3, 8, 1, 10], [7]], [5, 2])
    singles = [small_batch([[3, 8, 1, 10]], [5]), small_batch([[7]], [2])]
    learn(head, [batch])
    for name, squares in (("Y", "squares_Y"), ("b", "squares_b")):
        each = [finite_difference(before, name, single) for single in singles]
        grown = sum((gradient**2).reshape(N, -1).sum(axis=1) for gradient in each)
        np.testing.assert_allclose(copy_of(head.tables())[squares] - before[squares], grown, atol=1e-5)


def test_mean_history_equals_numpy() -> None:
    """The weighted sum over the weights' norm; zero without a history; what follows a -1 is not read."""
    rng = np.random.default_rng(0)
    table, weights = rng.normal(size=(9, 3)).astype(np.float32), np.array([1, 0.5, 0.25, 0.1], np.float32)
    histories = [[3, 3, 8], [], [1], [2, 0, 5, 7]]
    padded = np.array([(one + [-1] * 4)[:4] for one in histories], np.int32)
    padded[2, 2] = 4  # after a gap
    out, norms = np.empty((4, 3), np.float32), np.empty(4, np.float32)
    mean_history(padded, weights, table, out, norms)
    for history, query, inverse in zip(histories, out, norms, strict=True):
        used = weights[: len(history)].astype(np.float64)
        norm = np.sqrt((used**2).sum())
        expected = (used[:, None] * table[history]).sum(axis=0) / norm if history else np.zeros(3)
        np.testing.assert_allclose(query, expected, atol=1e-6)
        assert inverse == pytest.approx(1 / norm if history else 0.0)
