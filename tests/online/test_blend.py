"""Laws of the blend: it predicts before it learns, by the context's weights, and steps along the gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Batch
from online.blend import EXPERTS_START, GAP_EDGES, MIXTURE_START, PAST_EDGES, PLACE_EDGES, Blend
from online.experts.base import Column
from online.kernels import UNRANKED
from state.tables import Tables, decode_tables, encode_tables, sha256_of
from tests.online.blend_tools import Found, rank_and_learn, score
from tests.small import copy_of, small_batch
from tests.strategies import quick

F, C, RATE = 4, 6, 0.1
COLUMNS = (Column("a", True), Column("b", True), Column("c", True), Column("other", False))
P, S = len(PAST_EDGES) + 1, len(PLACE_EDGES) + 1


def make(columns: Sequence[Column] = COLUMNS, network_rate: float = 0.01) -> Blend:
    return Blend(columns, RATE, 0.1, 5, network_rate, 7)


def found_of(at: list[int], n: list[int] | None = None, seed: int = 0) -> Found:
    """Return random candidates; `at` is the target's column per event."""
    B = len(at)
    feature = np.random.default_rng(seed).normal(-1.5, 0.8, (F, B, C)).astype(np.float32)
    return Found(n or [C] * B, at, feature)


def only(found: Found, e: int) -> Found:
    """Return the candidates of one event."""
    return Found(found.n[e : e + 1], found.at[e : e + 1], found.feature[:, e : e + 1])


def events(*past_and_place: tuple[int, int], scored: bool = True) -> Batch:
    """Return a batch of events with so many events before, and so many of them in the basket."""
    seen: list[list[int]] = [[] if scored else [1]] * len(past_and_place)
    batch = small_batch([[]] * len(seen), [1] * len(seen), seen)
    past, place = np.array(past_and_place, np.int32).T
    return batch._replace(past=past, position=place)


def bucket(past: int, place: int) -> list[int]:
    """Return the rows of the weights that hold in this context, by counting."""
    by_past = sum(past >= edge for edge in PAST_EDGES.tolist())
    by_place = sum(place >= edge for edge in PLACE_EDGES.tolist())
    return [0, 1 + by_past, 1 + P + by_place, 1 + P + S + by_past * S + by_place]


def trained(network_rate: float = 0.01) -> Blend:
    blend = make(network_rate=network_rate)
    rng = np.random.default_rng(4)
    for seed in range(30):
        contexts = [(int(past), int(seen)) for past, seen in rng.integers(0, 60, (4, 2))]
        rank_and_learn(blend, found_of([0, 1, 2, 3], seed=seed), events(*contexts))
    return blend


def described(mixture: NDArray[Any], found: Found, context: tuple[int, int]) -> NDArray[Any]:
    """Return the features of the only event, as the blend weighs them, in float64; shape (C, F + 1)."""
    feature = found.feature[:, 0, : found.n[0]].astype(np.float64)
    logs = feature[:3] - np.log(np.exp(feature[:3]).sum(axis=1, keepdims=True))
    mixed = np.log(mixture[bucket(*context)[1] - 1].astype(np.float64) @ np.exp(logs))
    columns: NDArray[Any] = np.concatenate([logs, feature[3:], [mixed]]).T
    return columns


def loss(weights: NDArray[Any], rows: list[int], logs: NDArray[Any], offset: NDArray[Any], at: int) -> float:
    """Return -log softmax(z)[target], in float64."""
    z = logs @ weights[rows].sum(axis=0) + offset
    return float(np.log(np.exp(z - z.max()).sum()) + z.max() - z[at])


@pytest.mark.parametrize("name", ["", "gap_"])
@pytest.mark.parametrize("context", [(0, 0), (7, 2), (60, 60)])
def test_learning_steps_along_the_gradient(context: tuple[int, int], name: str) -> None:
    """The Adagrad step of every weight follows the finite difference of the loss by that weight."""
    blend = trained()
    before = copy_of(blend.tables())
    found, batch = found_of([4], seed=99), events(context)
    logs = described(before["mixture"], found, context)
    linear = logs @ before["weights"][bucket(*context)].sum(axis=0)
    offset = score(blend, found, batch)[0].astype(np.float64) - linear
    rows = bucket(*context)
    if name:  # these weights learn beside the others, on top of their score
        offset, rows = offset + linear, [(rows[1] - 1) * (len(GAP_EDGES) + 2) + len(GAP_EDGES) + 1]
    rank_and_learn(blend, found, batch)
    after = copy_of(blend.tables())
    weights, squares = f"{name}weights", f"{name}squares"
    taken = (before[weights] - after[weights]) * np.sqrt(after[squares]) / np.float32(RATE)
    exact = before[weights].astype(np.float64)
    expected = np.zeros(exact.shape)
    for row, column in np.ndindex(len(rows), F + 1):
        nudge = np.zeros_like(exact)
        nudge[rows[row], column] = 1e-5
        losses = [loss(exact + sign * nudge, rows, logs, offset, 4) for sign in (1, -1)]
        expected[rows[row], column] = (losses[0] - losses[1]) / 2e-5
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(taken, expected, atol=1e-3)
    np.testing.assert_allclose(after[squares] - before[squares], expected**2, atol=1e-3)


def test_the_network_steps_along_the_gradient() -> None:
    """With all linear weights at rest the loss of the same event falls, step by step."""
    blend = make(network_rate=0.02)
    found, batch = found_of([2], seed=8), events((3, 2))
    tables = copy_of(blend.tables())
    losses = []
    for _ in range(30):
        z = score(blend, found, batch)[0].astype(np.float64)
        losses.append(np.log(np.exp(z).sum()) - z[2])
        rank_and_learn(blend, found, batch)
        kept = {name: table for name, table in copy_of(blend.tables()).items() if name.startswith("network.")}
        blend.load({**tables, **kept})
    assert losses[-1] < losses[0] - 0.3


def test_it_starts_as_the_mixture() -> None:
    """Without any event the order is that of all experts' probabilities together: sensible from the first list on."""
    found, context = found_of([0], seed=5), (0, 0)
    logs = described(np.full((P, 3), 1 / 3), found, context)
    expected = MIXTURE_START * logs[:, -1] + EXPERTS_START * logs[:, :3].mean(axis=1)
    np.testing.assert_allclose(score(make(), found, events(context))[0], expected, atol=1e-5)


def test_each_event_is_scored_by_its_own_context() -> None:
    """One event at a time or all together: the scores are the same."""
    blend, contexts = trained(), [(0, 0), (3, 1), (50, 50)]
    found = found_of([0, 1, 2], [6, 2, 6])
    got = score(blend, found, events(*contexts))
    for e, context in enumerate(contexts):
        alone = score(blend, only(found, e), events(context))
        assert alone[0].tobytes() == got[e].tobytes()


def test_score_leaves_no_trace() -> None:
    """Scoring changes no weight, even with a target at hand."""
    blend = trained()
    before = sha256_of(blend.tables())
    score(blend, found_of([1, 2]), events((0, 0), (9, 9)))
    assert sha256_of(blend.tables()) == before


def test_predict_then_learn() -> None:
    """An event's rank is that of the scores before it was learned, in the order of the events."""
    blend, oracle = trained(), trained()
    found, batch = found_of([1, 2, 3]), events((0, 0), (20, 2), (60, 40))
    ranks, _ = rank_and_learn(blend, found, batch)
    for e, context in enumerate([(0, 0), (20, 2), (60, 40)]):
        z = score(oracle, only(found, e), events(context))[0]
        assert ranks[e] == (z >= z[found.at[e]]).sum()
        rank_and_learn(oracle, only(found, e), events(context))
    assert sha256_of(blend.tables()) == sha256_of(oracle.tables())


def test_the_frozen_control_learns_nothing() -> None:
    """It ranks, and no table changes."""
    blend = trained()
    before = sha256_of(blend.tables())
    ranks, _ = rank_and_learn(blend, found_of([1, 2]), events((0, 0), (20, 2)), learns=False)
    assert (ranks > 0).all()
    assert sha256_of(blend.tables()) == before


def test_what_is_not_scored_teaches_nothing() -> None:
    """A repeat has rank 0; a target that is no candidate is UNRANKED; neither changes a weight."""
    blend = trained()
    before = sha256_of(blend.tables())
    for found, batch, rank in (
        (found_of([-1, -1]), events((0, 1), (2, 1), scored=False), [0, 0]),
        (found_of([-1]), events((0, 0)), [UNRANKED]),
        (found_of([-1], [0]), events((0, 0)), [UNRANKED]),
    ):
        assert [one.tolist() for one in rank_and_learn(blend, found, batch)] == [rank, rank]
    assert sha256_of(blend.tables()) == before


def test_ties_count_against_us() -> None:
    """All candidates equal: the rank is the last."""
    found = found_of([2])
    found.feature[:] = -1
    assert [rank.tolist() for rank in rank_and_learn(make(), found, events((0, 0)))] == [[C], [C]]


def test_it_learns_whom_to_trust() -> None:
    """An expert that is always right gains weight over one that is noise; the loss falls."""
    blend = make(COLUMNS[:2])
    rng = np.random.default_rng(0)
    for _ in range(300):
        feature = rng.normal(-2, 1, (2, 1, C)).astype(np.float32)
        at = int(feature[0, 0].argmax())
        found = found_of([at])._replace(feature=feature)
        rank_and_learn(blend, found, events((5, 5)))
    tables = copy_of(blend.tables())
    weights = tables["weights"][bucket(5, 5)].sum(axis=0)
    assert tables["mixture"][bucket(5, 5)[1] - 1, 0] > 0.9
    assert weights[0] > 0.5
    assert weights[0] > 5 * abs(weights[1])


@given(scale=st.sampled_from([1e-3, 1.0, 1e4, 1e8]), seed=st.integers(0, 20))
@quick
def test_odd_features_move_little(scale: float, seed: int) -> None:
    """However large a feature, weights stay finite and a step stays below the rate."""
    blend = make()
    before = copy_of(blend.tables())["weights"]
    found = found_of([1], seed=seed)
    found.feature[:] *= np.float32(scale)
    rank_and_learn(blend, found, events((0, 0)))
    moved = np.abs(copy_of(blend.tables())["weights"] - before)
    assert np.isfinite(moved).all() and moved.max() <= RATE


def test_storing_is_invisible() -> None:
    """Restored weights and accumulators learn on as if nothing had been."""
    blend, restored = trained(), make()
    stored: Tables = decode_tables(dict(encode_tables(blend.tables())))
    restored.load(stored)
    for one in (blend, restored):
        rank_and_learn(one, found_of([3, 1]), events((4, 4), (0, 30)))
    assert sha256_of(blend.tables()) == sha256_of(restored.tables())
