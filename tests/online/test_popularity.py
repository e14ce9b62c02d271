"""Laws of popularity: the order that all events share is that of a plain sort, whatever happened."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.batch import Batch
from online.experts import popularity
from online.experts.popularity import Popularity
from tests.online.expert_tools import learn, look, mass, text
from tests.small import small_batch
from tests.strategies import quick

N = 12
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(st.integers(0, N - 1), min_size=1, max_size=6)),
        st.tuples(st.just("flip"), st.lists(st.integers(0, N - 1), min_size=1, max_size=3)),
    ),
    max_size=12,
)


@pytest.fixture(params=[4, 281])
def wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Items of the common order: fewer and more than there are."""
    monkeypatch.setattr(popularity, "_WIDE", request.param)
    return int(request.param)


@pytest.mark.parametrize("half_life", [math.inf, 3.0])
def test_the_order_is_a_sort(wide: int, half_life: float) -> None:
    """After events on open and closed items, and items that open and close: the best that an event may show."""

    @given(steps=steps, excluded=st.sets(st.integers(0, N - 1)))
    @quick
    def check(steps: list[tuple[str, list[int]]], excluded: set[int]) -> None:
        expert, counts, closed = Popularity("p", half_life, text()), np.zeros(N), set[int]()
        for what, items in steps:
            if what == "flip":
                closed ^= set(items)
                continue
            learn(expert, [small_batch([[]] * len(items), items, closed=sorted(closed))])
            for item in items:
                counts *= 2 ** (-1 / half_life)
                counts[item] += 1
        shown = [j for j in range(N) if j not in excluded | closed and counts[j]]
        batch: Batch = small_batch([[]], [-1], [sorted(excluded)], closed=sorted(closed))
        got = look(expert, batch, keep=5).item[0].tolist()
        best = sorted(shown, key=lambda j: (-round(float(counts[j]), 9), j))[:5]
        assert got == best + [-1] * (5 - len(best))
        total = sum(counts[j] for j in range(N) if j not in closed)
        shares = mass(look(expert, batch).feature)[0, shown]
        np.testing.assert_allclose(shares, [counts[j] / total for j in shown], atol=1e-5)

    check()


def test_a_user_who_has_seen_the_shared_best() -> None:
    """A user for whom the whole common order is excluded still gets the best of the rest."""
    n = 700
    expert = Popularity("p", math.inf, text(n))
    many = [j for j in range(n) for _ in range(1 + (n - j) // 100)]
    learn(expert, [small_batch([[]] * len(many), many, items=n)])
    batch = small_batch([[], []], [-1, -1], [list(range(400)), [0, 2]], items=n, closed=[401])
    assert look(expert, batch, keep=3).item.tolist() == [[400, 402, 403], [1, 3, 4]]
