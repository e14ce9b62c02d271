"""Laws of the selection: exactly the best that an event may show, ranked as a plain sort would, features in float64."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.kernels import MASKED, UNRANKED, mask_scores
from online.selection import (
    FLOOR,
    gap_features,
    open_masses,
    select_dense,
    select_shared,
    select_sparse,
    shared_mass_features,
    sparse_mass_features,
)
from tests.small import small_batch
from tests.strategies import quick

N = 9


class Case(NamedTuple):
    scores: Scores  # shape (B, N), many ties, often 0
    batch: Batch
    keep: int

    def shown(self, e: int) -> list[int]:
        """Return what event e may show."""
        seen = self.batch.seen[self.batch.seen_from[e] : self.batch.seen_from[e + 1]]
        return [j for j in range(N) if self.batch.open[j] and j not in seen]


class Selected(NamedTuple):
    item: NDArray[np.int32]
    rank: NDArray[np.int32]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any items are excluded or closed; the target may be a repeat, or closed."""
    B = draw(st.integers(1, 3))
    values = draw(st.lists(st.sampled_from([0, 0, 1, 1, 2, 5]), min_size=B * N, max_size=B * N))
    rows = st.integers(0, N - 1)
    seen = [sorted(draw(st.sets(rows))) for _ in range(B)]
    targets = [draw(st.integers(-1, N - 1)) for _ in range(B)]
    batch = small_batch([[]] * B, targets, seen, items=N, closed=sorted(draw(st.sets(rows, max_size=4))))
    return Case(np.array(values, np.float32).reshape(B, N), batch, draw(st.integers(1, N)))


def check_selected(case: Case, scores: Scores, selected: Selected, above: float, *, by_row: bool = True) -> None:
    """Items and rank of every event are what sorting gives, of equal scores the lower row; up to `above` is none."""
    for e, target in enumerate(case.batch.target.tolist()):
        row, shown = scores[e], [j for j in case.shown(e) if scores[e, j] > above]
        best = sorted((-row[j], j) for j in shown)[: case.keep]
        items = selected.item[e].tolist()
        if by_row:
            assert sorted(items[: len(best)]) == sorted(j for _, j in best)
        else:
            assert sorted(-row[items[: len(best)]]) == [score for score, _ in best]
            assert len({*items[: len(best)]} & {*shown}) == len(best)
        assert items[len(best) :] == [-1] * (case.keep - len(best))
        if not case.batch.scored[e]:
            assert selected.rank[e] == 0
        elif target not in shown:
            assert selected.rank[e] == UNRANKED
        else:
            assert selected.rank[e] == sum(row[j] >= row[target] for j in shown)


def empty(case: Case) -> Selected:
    B = len(case.scores)
    return Selected(np.full((B, case.keep), -7, np.int32), np.full(B, -7, np.int32))


def all_shown(case: Case) -> tuple[NDArray[np.int32], NDArray[np.int32], Scores]:
    """Return every item that each event may show as its candidates, and room for features."""
    item = np.zeros((len(case.scores), N), np.int32)
    n = np.zeros(len(item), np.int32)
    for e in range(len(item)):
        shown = case.shown(e)
        item[e, : len(shown)] = shown
        n[e] = len(shown)
    return item, n, np.full(item.shape, np.nan, np.float32)


@given(case=cases())
@quick
def test_dense(case: Case) -> None:
    """Logits, negative ones too: every open item that was not seen has a score."""
    scores = case.scores - np.float32(2)
    masked, selected, top = scores.copy(), empty(case), np.full(len(scores), np.nan, np.float32)
    mask_scores(masked, case.batch.seen, case.batch.seen_from, case.batch.open)
    select_dense(masked, case.batch.target, case.batch.scored, *selected, top)
    check_selected(case, scores, selected, float(MASKED))
    item, n, out = all_shown(case)
    gap_features(masked, top, item, n, out)
    for e in range(len(item)):
        shown = case.shown(e)
        assert top[e] == (scores[e, shown].max() if shown else 0)
        assert out[e, : n[e]].tolist() == (scores[e, shown] - top[e]).tolist()


@given(case=cases(), seed=st.integers(0, 9))
@quick
def test_sparse(case: Case, seed: int) -> None:
    """Masses of which only those are given that the event may show and that are not 0, in any order."""
    rng = np.random.default_rng(seed)
    given_rows = [rng.permutation([j for j in case.shown(e) if case.scores[e, j] > 0]) for e in range(len(case.scores))]
    ids = np.concatenate(given_rows).astype(np.int32)
    values = np.concatenate([case.scores[e, row.astype(int)] for e, row in enumerate(given_rows)])
    start = np.cumsum([0, *map(len, given_rows)])
    check_sparse(case, ids, values, start, dense=False)


@given(case=cases())
@quick
def test_sparse_with_many_scores(case: Case) -> None:
    """A dense event: one score of every item, 0 where it has none or may not be shown."""
    values = np.zeros_like(case.scores)
    for e in range(len(values)):
        values[e, case.shown(e)] = case.scores[e, case.shown(e)]
    check_sparse(case, np.empty(0, np.int32), values.ravel(), np.arange(len(values) + 1) * N, dense=True)


def check_sparse(case: Case, ids: NDArray[np.int32], values: Scores, start: NDArray[np.int64], *, dense: bool) -> None:
    selected, mass = empty(case), np.full(len(case.scores), np.nan, np.float32)
    is_dense = np.full(len(case.scores), dense)
    select_sparse(ids, values, start, is_dense, case.batch.target, case.batch.scored, np.float32(0), *selected, mass)
    check_selected(case, case.scores, selected, 0, by_row=dense)
    item, n, out = all_shown(case)
    sparse_mass_features(ids, values, start, is_dense, mass, N, item, n, out)
    for e in range(len(item)):
        check_masses(case.scores[e, case.shown(e)], float(case.scores[e, case.shown(e)].sum()), out[e, : n[e]])


@given(case=cases())
@quick
def test_shared(case: Case) -> None:
    """One row of masses for all events: its mass is that of all open items, whatever the event excludes."""
    row = open_masses(case.scores[0].astype(np.float64) * 4, 0.25, case.batch.open)
    selected = empty(case)
    select_shared(row, case.batch.seen, case.batch.seen_from, case.batch.target, case.batch.scored, *selected)
    check_selected(case, np.tile(case.scores[0], (len(case.scores), 1)), selected, 0)
    item, n, out = all_shown(case)
    shared_mass_features(row, item, n, out)
    total = float(case.scores[0][case.batch.open == 1].sum())
    for e in range(len(item)):
        check_masses(case.scores[0, case.shown(e)], total, out[e, : n[e]])


def check_masses(masses: Scores, total: float, feature: Scores) -> None:
    """The log of each share of the total, with the floor."""
    shares = masses.astype(np.float64) / total if total else np.zeros(len(masses))
    np.testing.assert_allclose(feature, np.log(shares + FLOOR / N), rtol=1e-5)


def test_a_user_who_has_seen_the_shared_best() -> None:
    """A user for whom the whole shared top list is excluded still gets the best of the rest."""
    n = 700
    row = np.arange(n, 0, -1).astype(np.float32)
    row[401] = MASKED
    batch = small_batch([[], []], [-1, -1], [list(range(400)), [0, 2]], items=n, closed=[401])
    item, rank = np.empty((2, 3), np.int32), np.empty(2, np.int32)
    select_shared(row, batch.seen, batch.seen_from, batch.target, batch.scored, item, rank)
    assert item.tolist() == [[400, 402, 403], [1, 3, 4]]


@pytest.mark.parametrize("rest", [1e-3, 1e-6, 1e-9])
def test_the_mass_of_what_is_left_is_exact(rest: float) -> None:
    """A user who has seen nearly all the mass: features of the rest are no rounding of what was subtracted."""
    ids = np.arange(3, N, dtype=np.int32)
    values, start = np.full(len(ids), rest, np.float32), np.array([0, len(ids)])
    item, rank, mass = np.empty((1, N), np.int32), np.empty(1, np.int32), np.empty(1, np.float32)
    batch = small_batch([[]], [-1], [[0, 1, 2]], items=N)
    sparse = np.zeros(1, np.bool_)
    select_sparse(ids, values, start, sparse, batch.target, batch.scored, np.float32(0), item, rank, mass)
    out = np.empty((1, len(ids)), np.float32)
    sparse_mass_features(ids, values, start, sparse, mass, N, ids[None], np.array([len(ids)], np.int32), out)
    np.testing.assert_allclose(out, np.log(1 / 6 + FLOOR / N), rtol=1e-5)
