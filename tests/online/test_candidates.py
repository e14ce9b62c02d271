"""Laws of the candidates: the union of all top lists."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online.candidates import FREE, free, unite
from tests.strategies import quick

N = 9
tops = st.lists(st.lists(st.integers(0, N - 1), max_size=4, unique=True), min_size=1, max_size=4)


@given(tops=tops)
@quick
def test_candidates_are_the_union(tops: list[list[int]]) -> None:
    """Each item once, in the order in which it was first put forward, with its place; the scratch is clean again."""
    top = np.array([(one + [-1] * 4)[:4] for one in tops], np.int32)
    column, item = np.full(N, FREE, np.int32), np.full(N, -7, np.int32)
    n = unite(top, column, item)
    assert item[:n].tolist() == list(dict.fromkeys(j for one in tops for j in one))
    assert column[item[:n]].tolist() == list(range(n))
    assert np.count_nonzero(column != FREE) == n
    free(column, item[:n])
    assert (column == FREE).all()
