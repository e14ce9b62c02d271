"""Laws of the neighbours: the order is that of the cosines, retired items leave, and a restart knows the same."""

from pathlib import Path

import numpy as np

from models.vectors import ItemVectors, VectorRecord, encode_record
from view.neighbours import Neighbours
from view.store import Store


def value(*vector: float, model: str = "m") -> bytes:
    """Return a record's value."""
    return encode_record(VectorRecord(model, "", 0, np.array(vector, np.float32)))


def test_nearest_first(tmp_path: Path) -> None:
    """By file: equal to a plain sort of the cosines, without the item itself."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = Store(tmp_path / "store", "test")
    neighbours = Neighbours(store)
    neighbours.load(ItemVectors("m", tuple(f"i{n}" for n in range(200)), vectors, np.zeros(200, np.int64)))
    cosine = vectors @ vectors[7]
    expected = [f"i{n}" for n in np.argsort(-cosine) if n != 7]
    found = neighbours.similar("i7", 10)
    assert found is not None
    assert [item for item, _ in found] == expected[:10]
    everything = neighbours.similar("i7", 1000)
    assert everything is not None
    assert len(everything) == 199
    assert neighbours.similar("nothing", 3) is None
    store.close()


def test_by_topic(tmp_path: Path) -> None:
    """Newer vectors replace, tombstones retire, another model's and broken ones are left to the job's dead letters."""
    store = Store(tmp_path / "store", "test")
    neighbours = Neighbours(store)
    for item, raw in (("a", value(1, 0)), ("b", value(0, 1)), ("c", value(0.6, 0.8)), ("d", value(0.9, 0.1))):
        assert neighbours.change(item, raw)
    assert neighbours.change("b", value(1, 0))
    assert neighbours.change("d", None)
    assert not neighbours.change("e", value(1, 0, model="other"))
    assert not neighbours.change("f", b"no frame")
    for number in range(3000):  # rows are added in bulk
        neighbours.change(f"n{number}", value(-1, 0))
    store.write(neighbours.drain(), {})
    for known in (neighbours, Neighbours(store)):
        assert known.similar("a", 2) == [("b", 1.0), ("c", 0.6)]
        assert known.similar("d", 2) is None
        assert len(known) == 3003
    store.close()
