"""Laws of the blend: it predicts before it learns, by the context's weights, and steps along the gradient."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Batch
from online.blend import PAST_EDGES, SEEN_EDGES, Blend
from online.candidates import Candidates
from online.experts.base import Column
from online.kernels import UNRANKED
from state.tables import Tables, decode_tables, encode_tables, sha256_of
from tests.small import copy_of, small_batch
from tests.strategies import quick

F, C, RATE = 3, 6, 0.1
COLUMNS = tuple(Column(f"f{number}", log_p=True) for number in range(F))


def found_of(at: list[int], n: list[int] | None = None, seed: int = 0) -> Candidates:
    """Return random candidates; `at` is the target's column per event."""
    B = len(at)
    feature = np.random.default_rng(seed).normal(-1.5, 0.8, (F, B, C)).astype(np.float32)
    items = np.tile(np.arange(C, dtype=np.int32), (B, 1))
    rank = np.ones((F, B), np.int32)
    return Candidates(items, np.array(n or [C] * B, np.int32), np.array(at, np.int32), rank, feature)


def events(*past_and_seen: tuple[int, int], scored: bool = True) -> Batch:
    """Return a batch of events with so many events before, and so many excluded items."""
    seen = [list(range(50, 50 + count)) for _, count in past_and_seen]
    batch = small_batch([[]] * len(seen), [1 if scored else 50] * len(seen), seen)
    return batch._replace(past=np.array([past for past, _ in past_and_seen], np.int32))


def bucket(past: int, seen: int) -> list[int]:
    """Return the rows of the weights that hold in this context, by counting."""
    by_past = sum(past >= edge for edge in PAST_EDGES.tolist())
    by_seen = sum(seen >= edge for edge in SEEN_EDGES.tolist())
    return [0, 1 + by_past, 2 + len(PAST_EDGES) + by_seen]


def trained() -> Blend:
    blend = Blend(COLUMNS, RATE)
    rng = np.random.default_rng(4)
    for seed in range(30):
        contexts = [(int(past), int(seen)) for past, seen in rng.integers(0, 60, (4, 2))]
        blend.rank_and_learn(found_of([0, 1, 2, 3], seed=seed), events(*contexts))
    return blend


def loss(weights: NDArray[Any], found: Candidates, context: tuple[int, int]) -> float:
    """Return -log softmax(z)[target] of the only event, in float64."""
    z = found.feature[:, 0, : found.n[0]].T.astype(np.float64) @ weights[bucket(*context)].sum(axis=0)
    return float(np.log(np.exp(z - z.max()).sum()) + z.max() - z[found.at[0]])


@pytest.mark.parametrize("context", [(0, 0), (7, 2), (60, 60)])
def test_learning_steps_along_the_gradient(context: tuple[int, int]) -> None:
    """The Adagrad step of every weight follows the finite difference of the loss by that weight."""
    blend = trained()
    before = copy_of(blend.tables())
    found = found_of([4], seed=99)
    blend.rank_and_learn(found, events(context))
    after = copy_of(blend.tables())
    taken = (before["weights"] - after["weights"]) * np.sqrt(after["squares"]) / np.float32(RATE)
    exact = before["weights"].astype(np.float64)
    expected = np.zeros(exact.shape)
    for index in np.ndindex(exact.shape):
        nudge = np.zeros_like(exact)
        nudge[index] = 1e-5
        expected[index] = (loss(exact + nudge, found, context) - loss(exact - nudge, found, context)) / 2e-5
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(taken, expected, atol=1e-4)
    np.testing.assert_allclose(after["squares"] - before["squares"], expected**2, atol=1e-4)


def test_scores_are_the_weighted_features() -> None:
    """z = (weights of the context) . features, for each event by its own context."""
    blend, contexts = trained(), [(0, 0), (3, 1), (50, 50)]
    found = found_of([0, 1, 2], [6, 2, 6])
    got = blend.score(found, events(*contexts))
    for e, context in enumerate(contexts):
        weights = copy_of(blend.tables())["weights"][bucket(*context)].sum(axis=0)
        np.testing.assert_allclose(got[e, : found.n[e]], weights @ found.feature[:, e, : found.n[e]], rtol=1e-4)


def test_score_leaves_no_trace() -> None:
    """Scoring changes no weight, even with a target at hand."""
    blend = trained()
    before = sha256_of(blend.tables())
    blend.score(found_of([1, 2]), events((0, 0), (9, 9)))
    assert sha256_of(blend.tables()) == before


def test_predict_then_learn() -> None:
    """An event's rank is that of the scores before it was learned, in the order of the events."""
    blend, oracle = trained(), trained()
    found, batch = found_of([1, 2, 3]), events((0, 0), (0, 0), (0, 0))
    ranks = blend.rank_and_learn(found, batch)
    for e in range(3):
        one = Candidates(
            found.item[e : e + 1],
            found.n[e : e + 1],
            found.at[e : e + 1],
            found.rank[:, e : e + 1],
            np.ascontiguousarray(found.feature[:, e : e + 1]),
        )
        z = oracle.score(one, events((0, 0)))[0]
        assert ranks[e] == (z >= z[found.at[e]]).sum()
        oracle.rank_and_learn(one, events((0, 0)))
    assert sha256_of(blend.tables()) == sha256_of(oracle.tables())


def test_what_is_not_scored_teaches_nothing() -> None:
    """A repeat has rank 0; a target that is no candidate is UNRANKED; neither changes a weight."""
    blend = trained()
    before = sha256_of(blend.tables())
    assert blend.rank_and_learn(found_of([1, 2]), events((0, 1), (2, 1), scored=False)).tolist() == [0, 0]
    assert blend.rank_and_learn(found_of([-1]), events((0, 0))).tolist() == [UNRANKED]
    assert blend.rank_and_learn(found_of([-1], [0]), events((0, 0))).tolist() == [UNRANKED]
    assert sha256_of(blend.tables()) == before


def test_ties_count_against_us() -> None:
    """All candidates equal: the rank is the last."""
    found = found_of([2])
    found.feature[:] = -1
    assert Blend(COLUMNS, RATE).rank_and_learn(found, events((0, 0))).tolist() == [C]


def test_it_learns_whom_to_trust() -> None:
    """An expert that is always right gains weight over one that is noise; the loss falls."""
    blend = Blend(COLUMNS[:2], RATE)
    rng = np.random.default_rng(0)
    for _ in range(300):
        feature = rng.normal(-2, 1, (2, 1, C)).astype(np.float32)
        at = int(feature[0, 0].argmax())
        found = found_of([at])._replace(feature=feature)
        blend.rank_and_learn(found, events((5, 5)))
    weights = copy_of(blend.tables())["weights"][bucket(5, 5)].sum(axis=0)
    assert weights[0] > 1.0
    assert weights[0] > 5 * abs(weights[1])


@given(scale=st.sampled_from([1e-3, 1.0, 1e4, 1e8]), seed=st.integers(0, 20))
@quick
def test_odd_features_move_little(scale: float, seed: int) -> None:
    """However large a feature, weights stay finite and a step stays below the rate."""
    blend = Blend(COLUMNS, RATE)
    before = copy_of(blend.tables())["weights"]
    found = found_of([1], seed=seed)
    found.feature[:] *= np.float32(scale)
    blend.rank_and_learn(found, events((0, 0)))
    moved = np.abs(copy_of(blend.tables())["weights"] - before)
    assert np.isfinite(moved).all() and moved.max() <= RATE


def test_storing_is_invisible() -> None:
    """Restored weights and accumulators learn on as if nothing had been."""
    blend, restored = trained(), Blend(COLUMNS, RATE)
    stored: Tables = decode_tables(dict(encode_tables(blend.tables())))
    restored.load(stored)
    for one in (blend, restored):
        one.rank_and_learn(found_of([3, 1]), events((4, 4), (0, 30)))
    assert sha256_of(blend.tables()) == sha256_of(restored.tables())
