"""Laws of the selection: exactly the best that an event may show, ranked as a plain sort would, features in float64."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Batch, Event, Scores, event_of
from online.kernels import MASKED, UNRANKED, mask_scores
from online.selection import ALL, FLOOR, choose, log_shares, new_sums, select_dense
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


@given(case=cases())
@quick
def test_dense(case: Case) -> None:
    """Logits, negative ones too: every open item that was not seen has a score."""
    scores = case.scores - np.float32(2)
    masked, selected, top = scores.copy(), empty(case), np.full(len(scores), np.nan, np.float32)
    mask_scores(masked, case.batch.seen, case.batch.seen_from, case.batch.open)
    select_dense(masked, case.batch.target, case.batch.scored, *selected, top)
    check_selected(case, scores, selected, float(MASKED))
    for e in range(len(scores)):
        shown = case.shown(e)
        assert top[e] == (scores[e, shown].max() if shown else 0)


def event_at(case: Case, e: int) -> Event:
    """Return one event, as the compiled loop sees it."""
    event: Event = event_of(case.batch, e, case.batch.open == 0)
    return event


@given(case=cases(), seed=st.integers(0, 9), every=st.booleans())
@quick
def test_sums(case: Case, seed: int, every: bool) -> None:
    """Masses of some items in any order, or of any of all items, the same scratch for event after event."""
    rng, sums, selected = np.random.default_rng(seed), new_sums(N), empty(case)
    for e, row in enumerate(case.scores):
        event, given_rows = event_at(case, e), rng.permutation(np.flatnonzero(row))
        sums.sums[:] = row
        sums.ids[: len(given_rows)] = given_rows
        used = ALL if every else len(given_rows)
        selected.rank[e] = choose(sums, used, np.float32(0), event, selected.item[e])
        shown = np.array(case.shown(e), np.int32)
        out = np.empty(len(shown), np.float32)
        log_shares(sums, shown, out)
        check_masses(row[shown], float(row[shown].sum()), out)
    check_selected(case, case.scores, selected, 0, by_row=every)


def check_masses(masses: Scores, total: float, feature: Scores) -> None:
    """The log of each share of the total, with the floor."""
    shares = masses.astype(np.float64) / total if total else np.zeros(len(masses))
    np.testing.assert_allclose(feature, np.log(shares + FLOOR / N), rtol=1e-5)


@pytest.mark.parametrize("rest", [1e-3, 1e-6, 1e-9])
def test_the_mass_of_what_is_left_is_exact(rest: float) -> None:
    """A user who has seen nearly all the mass: features of the rest are no rounding of what was subtracted."""
    batch, sums = small_batch([[]], [-1], [[0, 1, 2]], items=N), new_sums(N)
    sums.sums[:] = [1, 1, 1, *[rest] * (N - 3)]
    sums.ids[:N] = np.arange(N)
    event = event_of(batch, 0, batch.open == 0)
    choose(sums, N, np.float32(0), event, np.empty(N, np.int32))
    out = np.empty(N - 3, np.float32)
    log_shares(sums, np.arange(3, N, dtype=np.int32), out)
    np.testing.assert_allclose(out, np.log(1 / 6 + FLOOR / N), rtol=1e-5)
