"""Laws of the neighbours: exact, and a function of the vectors and the open items alone, whatever came before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online.batch import Scores
from online.neighbours import Neighbours, sum_neighbours
from online.selection import new_sums
from tests.strategies import quick

N, D, COUNT = 14, 6, 4
ALL = np.arange(N, dtype=np.int32)


def vectors(rows: int = N, seed: int = 0) -> Scores:
    return np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)


def lists(found: tuple[NDArray[np.int32], Scores], rows: NDArray[np.int32]) -> list[list[int]]:
    return [sorted(found[0][row][found[0][row] >= 0].tolist()) for row in rows]


def expected(base: Scores, open_: NDArray[np.uint8], rows: NDArray[np.int32]) -> list[list[int]]:
    """Return the nearest open items of each row, by a plain sort."""
    similar = base @ base.T
    return [sorted(sorted(np.flatnonzero(open_), key=lambda j: -similar[row, j])[:COUNT]) for row in rows]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, N - 1)),
        st.tuples(st.just("flip"), st.integers(0, N - 1)),
        st.tuples(st.just("move"), st.integers(0, N - 1)),
        st.tuples(st.just("grow"), st.integers(1, 2)),
    ),
    max_size=25,
)


@given(steps=steps)
@quick
def test_neighbours_do_not_remember(steps: list[tuple[str, int]]) -> None:
    """After items opened, closed, moved and came, every list is that of a new start, and a plain sort's."""
    base, open_ = vectors(), np.ones(N, np.uint8)
    kept = Neighbours(base, COUNT)
    kept.of(ALL[::2], open_)
    for number, (what, value) in enumerate(steps):
        if what == "ask":
            kept.of(np.array([value, -1], np.int32), open_)
        elif what == "flip":
            open_ = open_.copy()
            open_[value] ^= 1
        elif what == "move":
            base[value] = vectors(1, 100 + number)[0]
            kept.move(value)
        else:
            base = np.vstack([base, vectors(value, 200 + number)])
            open_ = np.append(open_, np.ones(value, np.uint8))
            kept.grow(base)
    rows = np.arange(len(base), dtype=np.int32)
    items, similar = kept.of(rows, open_)
    new_items, new_similar = Neighbours(base, COUNT).of(rows, open_)
    assert items.tobytes() == new_items.tobytes()
    assert similar.tobytes() == new_similar.tobytes()
    assert lists((items, similar), rows) == expected(base, open_, rows)


def test_many_changes_at_once() -> None:
    """More changes than are looked at one by one."""
    base = vectors(700)
    rows, open_ = np.arange(700, dtype=np.int32), np.ones(700, np.uint8)
    kept = Neighbours(base, COUNT)
    kept.of(rows, open_)
    open_[:400] = 0
    assert lists(kept.of(rows, open_), rows) == expected(base, open_, rows)


def test_fewer_items_than_neighbours() -> None:
    """A small catalogue has short lists; with nothing open they are empty."""
    kept = Neighbours(vectors(3), COUNT)
    rows = np.arange(3, dtype=np.int32)
    assert lists(kept.of(rows, np.ones(3, np.uint8)), rows) == [[0, 1, 2]] * 3
    assert lists(kept.of(rows, np.zeros(3, np.uint8)), rows) == [[]] * 3


def test_sums_equal_a_dense_table() -> None:
    """The weighted similarities of the newest items' neighbours; the event before leaves nothing behind."""
    base, open_ = vectors(), np.ones(N, np.uint8)
    open_[3] = 0
    history = np.array([[1, 5, -1], [2, 2, 9], [-1, 4, 4]], np.int32)
    weights = np.array([1, 0.5, 0.25], np.float32)
    items, similar = Neighbours(base, COUNT).of(history, open_)
    table = np.zeros((N, N))
    for q, near in enumerate(expected(base, open_, ALL)):
        table[q, near] = (base @ base.T)[q, near]
    is_new, sums = np.ones(N, np.bool_), new_sums(N)
    for e, rows in enumerate(([1, 5], [2, 2, 9], [])):
        sums.size[0] = used = sum_neighbours(history[e], weights, items, similar, is_new, sums)
        total = sum((weights[p] * table[q] for p, q in enumerate(rows)), np.zeros(N))
        assert sorted(sums.ids[:used].tolist()) == np.flatnonzero(total).tolist()
        np.testing.assert_allclose(sums.sums, total, rtol=1e-5, atol=1e-6)
        assert is_new.all()
