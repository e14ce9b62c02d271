"""Laws of the catalogue: rows never move, closed items stay known, and vectors are a function of their inputs."""

import numpy as np
import pytest

from online.catalogue import Catalogue, ItemChange, vector_from_id, whiten
from tests.small import ITEMS, START_MS, copy_of, encoded, small_catalogue


def change(item: str, seed: int | None = 1, at_ms: int = START_MS) -> ItemChange:
    return ItemChange(at_ms, item, None if seed is None else encoded([item], seed)[0])


def test_rows_are_in_the_order_of_ids() -> None:
    """However the items come, a row stands for the same item and vector: ties break the same in every engine."""
    vectors, times = encoded(ITEMS), np.zeros(len(ITEMS), np.int64)
    order = np.random.default_rng(0).permutation(len(ITEMS))
    other = Catalogue.build("m", [ITEMS[row] for row in order], vectors[order], times[order], 6)
    one = Catalogue.build("m", ITEMS, vectors, times, 6)
    assert one.items == other.items == sorted(ITEMS)
    assert np.abs(one.base - other.base).max() < 1e-5
    assert one.base.dtype == np.float32


@pytest.mark.parametrize(("n", "D", "dim"), [(12, 8, 6), (12, 8, 20), (3, 8, 6), (1, 8, 6), (40, 8, 8)])
def test_whitening(n: int, D: int, dim: int) -> None:
    """Projected vectors have mean 0 and mean squared norm 1; dimensions that nothing fills are 0."""
    vectors = encoded([str(number) for number in range(n)])
    mean, basis = whiten(vectors, dim)
    assert (mean.shape, basis.shape) == ((D,), (D, dim))
    projected = (vectors - mean) @ basis
    assert np.isfinite(projected).all()
    assert np.abs(projected.mean(axis=0)).max() < 1e-5
    assert np.mean(np.sum(projected**2, axis=1)) == pytest.approx(1.0 if n > 1 else 0.0, abs=1e-4)
    assert not basis[:, D:].any()


def test_equal_vectors_are_no_error() -> None:
    """A catalogue whose texts all say the same has no directions, and no NaN."""
    vectors = np.ones((5, 8), np.float32)
    catalogue = Catalogue.build("m", ITEMS[:5], vectors, np.zeros(5, np.int64), 6)
    assert np.isfinite(catalogue.base).all()


def test_an_empty_catalogue_is_no_error() -> None:
    """Items may all come later, by events and changes."""
    catalogue = Catalogue.build("m", [], np.empty((0, 8), np.float32), np.empty(0, np.int64), 6)
    catalogue.apply(change("a"))
    assert (catalogue.row("b"), len(catalogue)) == (1, 2)
    assert np.isfinite(catalogue.base).all()


def test_vector_from_id() -> None:
    """An item without a text has a vector of norm 1 that depends on its id alone."""
    assert vector_from_id("é", 6).tobytes() == vector_from_id("é", 6).tobytes()
    assert np.linalg.norm(vector_from_id("é", 6)) == pytest.approx(1)
    assert abs(vector_from_id("a", 64) @ vector_from_id("b", 64)) < 0.5


def test_new_items_get_new_rows() -> None:
    """An id never seen is added at the end, open, once; no other row changes."""
    catalogue = small_catalogue()
    before = catalogue.base.copy()
    assert catalogue.row("zzz") == catalogue.row("zzz") == len(ITEMS)
    assert catalogue.row("i03") == 3
    assert np.array_equal(catalogue.base[: len(ITEMS)], before)
    assert catalogue.open[-1] == 1


def test_changes() -> None:
    """A change adds an item, moves its vector by what it says, retires it, and opens it again."""
    catalogue = small_catalogue()
    assert catalogue.apply(change("new")) is None
    moved = catalogue.apply(change("i03"))
    assert moved is not None and moved[0] == 3
    np.testing.assert_allclose(small_catalogue().base[3] + moved[1], catalogue.base[3], atol=1e-6)
    assert catalogue.apply(change("i03", None)) is None
    assert catalogue.open[3] == 0
    assert catalogue.row("i03") == 3
    catalogue.apply(change("i03"))
    assert catalogue.open[3] == 1


def test_a_change_of_the_same_vector_holds() -> None:
    """The vectors topic repeats the initial catalogue: the same vector gives the same bits, and nothing moves."""
    catalogue = small_catalogue()
    for item, vector in zip(ITEMS, encoded(ITEMS), strict=True):
        same = ItemChange(START_MS, item, vector)
        assert catalogue.holds(same)
        moved = catalogue.apply(same)
        assert moved is not None and not moved[1].any()
    assert not catalogue.holds(change("i03")) and not catalogue.holds(change("new"))
    assert not catalogue.holds(change("i03", None))


def test_items_open_at_their_time() -> None:
    """An item opens with the tick that ends at its time or later; those of one time open together."""
    catalogue = small_catalogue(available_at_ms={"i02": 50, "i04": 50, "i05": 10})
    opened = []
    for tick_ms in (9, 10, 49, 60):
        catalogue.advance(tick_ms)
        opened.append([item for row, item in enumerate(ITEMS) if not catalogue.open[row]])
    assert opened == [["i02", "i04", "i05"], ["i02", "i04"], ["i02", "i04"], []]


def test_a_retired_item_does_not_open_at_its_time() -> None:
    """An item that is retired before it was ever available stays closed."""
    catalogue = small_catalogue(available_at_ms={"i02": 50})
    retire = change("i02", None, 20)
    assert not catalogue.holds(retire)
    catalogue.apply(retire)
    assert catalogue.holds(retire)
    catalogue.advance(60)
    assert catalogue.open[2] == 0


def test_items_without_a_vector_are_counted() -> None:
    """From the event that names one until its vector comes or it is retired; a restore counts the same."""
    catalogue = small_catalogue()
    for item in ("x", "y", "z"):
        catalogue.row(item)
    catalogue.apply(change("gone", None))
    assert catalogue.without_vector == 3
    catalogue.apply(change("x"))
    catalogue.apply(change("z", None))
    catalogue.apply(change("w"))
    assert catalogue.without_vector == 1
    again = small_catalogue()
    again.load(copy_of(catalogue.tables()))
    assert again.without_vector == 1


def test_storing_is_invisible() -> None:
    """A catalogue that was stored half way goes on as if nothing had been, waiting items included."""

    def first(catalogue: Catalogue) -> Catalogue:
        catalogue.row("from an event")
        catalogue.apply(change("new"))
        catalogue.apply(change("i03"))
        catalogue.apply(change("i04", None))
        catalogue.apply(change("i07", None))
        catalogue.advance(30)
        return catalogue

    def second(catalogue: Catalogue) -> Catalogue:
        catalogue.apply(change("i05", 5))
        catalogue.row("another")
        catalogue.advance(70)
        return catalogue

    later = {"i02": 50, "i06": 20, "i07": 60, "i08": 90}
    restored = small_catalogue(available_at_ms=later)
    restored.load(copy_of(first(small_catalogue(available_at_ms=later)).tables()))
    whole = second(first(small_catalogue(available_at_ms=later)))
    second(restored)
    assert restored.items == whole.items
    assert restored.base.tobytes() == whole.base.tobytes()
    assert restored.open.tolist() == whole.open.tolist()
    assert [item for row, item in enumerate(whole.items) if not whole.open[row]] == ["i04", "i07", "i08"]
    assert restored.tables().keys() == whole.tables().keys()
