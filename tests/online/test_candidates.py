"""Laws of the candidates: exactly each expert's best that the user may be shown, ranked as a plain sort would."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.candidates import FLOOR, find_candidates
from online.kernels import UNRANKED
from tests.small import small_batch
from tests.strategies import quick

N = 9
IS_MASS = np.array([True, False, True, False])  # the first two are shared
NONE = np.empty(0, np.int32)


class Case(NamedTuple):
    shared: Scores
    own: Scores
    batch: Batch
    closed: NDArray[np.int32]
    keep: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores with many ties; masses are 0 often; any items are excluded or closed; the target may be a repeat."""
    B = draw(st.integers(1, 3))
    values = draw(st.lists(st.sampled_from([0, 0, 1, 1, 2, 5]), min_size=(2 + 2 * B) * N, max_size=(2 + 2 * B) * N))
    scores = np.array(values, np.float32).reshape(-1, N)
    scores[1] -= 2
    scores[2 + B :] -= 2
    rows = st.integers(0, N - 1)
    seen = [sorted(draw(st.sets(rows))) for _ in range(B)]
    batch = small_batch([[]] * B, [draw(st.integers(-1, N - 1)) for _ in range(B)], seen)
    closed = np.array(sorted(draw(st.sets(rows, max_size=4))), np.int32)
    return Case(scores[:2], scores[2:].reshape(2, B, N), batch, closed, draw(st.integers(1, N + 2)))


@given(case=cases())
@quick
def test_candidates_equal_plain_sorts(case: Case) -> None:
    """Items, target's column, ranks and features, for every event and expert, are what sorting and float64 give."""
    given_scores = [case.shared[0].copy(), case.shared[1].copy(), case.own[0].copy(), case.own[1].copy()]
    found = find_candidates(case.shared, case.own, IS_MASS, case.keep, case.batch, case.closed)
    opened = [j for j in range(N) if j not in case.closed]
    for e, target in enumerate(case.batch.target.tolist()):
        seen = set(case.batch.seen[case.batch.seen_from[e] : case.batch.seen_from[e + 1]].tolist())
        shown = [j for j in range(N) if j not in (seen - {target}) | set(case.closed.tolist())]
        rows = [given_scores[0], given_scores[1], given_scores[2][e], given_scores[3][e]]
        expected: set[int] = set()
        for x, (row, mass) in enumerate(zip(rows, IS_MASS, strict=True)):
            best = sorted((-row[j], j) for j in shown if not mass or row[j] > 0)
            expected |= {j for _, j in best[: case.keep]}
            if not case.batch.scored[e]:
                assert found.rank[e, x] == 0
            elif target not in shown or (mass and row[target] <= 0):
                assert found.rank[e, x] == UNRANKED
            else:
                assert found.rank[e, x] == sum(row[j] >= row[target] for j in shown)
        items = found.item[e, : found.n[e]].tolist()
        assert sorted(items) == sorted(expected)
        if case.batch.scored[e]:
            assert found.at[e] == (items.index(target) if target in items else -1)
        else:
            assert found.at[e] == -1
        check_features(found.feature[e, : found.n[e]], rows, items, [opened, opened, shown, shown])


def check_features(feature: Scores, rows: list[Scores], items: list[int], among: list[list[int]]) -> None:
    """Log probability, among all open items where shared, with a floor for masses; for logits up to a constant."""
    for x, (row, mass, shown) in enumerate(zip(rows, IS_MASS, among, strict=True)):
        if not items:
            return
        if mass:
            total = sum(max(0.0, float(row[j])) for j in shown)
            p = [float(row[j]) / total if row[j] > 0 else 0.0 for j in items]
            np.testing.assert_allclose(feature[:, x], np.log(np.array(p) + FLOOR / N), rtol=1e-5)
        else:
            gaps = row[items].astype(np.float64) - row[items[0]]
            np.testing.assert_allclose(feature[:, x] - feature[0, x], gaps, atol=1e-5)
            assert np.isfinite(feature[:, x]).all()


def test_a_user_who_has_seen_the_shared_best() -> None:
    """A user for whom the whole shared top list is excluded still gets that expert's best of the rest."""
    n = 700
    shared = np.arange(n, 0, -1, dtype=np.float32)[None]
    own = np.zeros((1, 2, n), np.float32)
    batch = small_batch([[], []], [-1, -1], [list(range(400)), [0, 2]])
    found = find_candidates(shared, own, np.array([True, True]), 3, batch, np.array([401], np.int32))
    assert found.n.tolist() == [3, 3]
    assert found.item.tolist()[0][:3] == [400, 402, 403] or sorted(found.item[0, :3].tolist()) == [400, 402, 403]
    assert sorted(found.item[1, :3].tolist()) == [1, 3, 4]


def test_nothing_may_be_shown() -> None:
    """With every item excluded there are no candidates, and no error."""
    batch = small_batch([[]], [-1], [list(range(N))])
    own = np.zeros((1, 1, N), np.float32)
    found = find_candidates(np.ones((1, N), np.float32), own, np.array([True, False]), 4, batch, NONE)
    assert found.n.tolist() == [0]


@pytest.mark.parametrize("rest", [1e-3, 1e-6, 1e-9])
def test_the_mass_of_what_is_left_is_exact(rest: float) -> None:
    """A user who has seen nearly all the mass: features of the rest are no rounding of what was subtracted."""
    row = np.full(N, rest, np.float32)
    row[:3] = [0.9, 0.7, 0.3]
    batch = small_batch([[]], [-1], [[0, 1, 2]])
    shared, own = row[None].copy(), row[None, None].copy()
    found = find_candidates(shared, own, np.array([True, True]), 9, batch, NONE)
    got = found.feature[0, : found.n[0]]
    assert found.n[0] == N - 3
    np.testing.assert_allclose(got[:, 0], np.log(rest / row.sum() + FLOOR / N), rtol=1e-5)  # among all open items
    np.testing.assert_allclose(got[:, 1], np.log(1 / 6 + FLOOR / N), rtol=1e-5)  # among those that may be shown
