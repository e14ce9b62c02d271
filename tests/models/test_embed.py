"""Laws of the way from items to vectors."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cache import VectorCache
from models.embed import WINDOW, BadVectorError, embed, embed_catalogue
from models.encoder import id_vector
from models.items import Item
from state.errors import HeadwaterError
from tests.models.hash_encoder import HashEncoder

ITEMS = [Item("a", "Heat"), Item("b", ""), Item("c", "Alien", 7), Item("d", "Heat")]
GOLDEN = [0.0158765260130167, 0.36062395572662354, -0.11567183583974838, -0.9253746867179871]


def test_second_run_embeds_nothing_and_gives_equal_bytes(tmp_path: Path) -> None:
    """The cache answers for every text of the same model, also after it was closed; another model is asked anew."""
    first, second, other = HashEncoder(), HashEncoder(), HashEncoder("hash@2")
    with VectorCache(tmp_path) as cache:
        made, tally = embed(ITEMS, first, cache)
    assert tally[:4] == (4, 3, 0, 1)
    assert sorted(first.asked) == ["Alien", "Heat"]
    with VectorCache(tmp_path) as cache:
        again, tally = embed(ITEMS, second, cache)
        assert (tally[:4], second.asked) == ((4, 0, 3, 1), [])
        assert made.tobytes() == again.tobytes()
        embed(ITEMS, other, cache)
    assert sorted(other.asked) == ["Alien", "Heat"]


def test_precisions_never_meet(tmp_path: Path) -> None:
    """What a GPU made in half precision is not taken for a run on the CPU: a catalogue's vectors are of one kind."""
    half, whole = HashEncoder(precision="float16"), HashEncoder()
    with VectorCache(tmp_path) as cache:
        embed(ITEMS, half, cache)
        _, tally = embed(ITEMS, whole, cache)
        assert (tally.embedded, tally.cached) == (3, 0)
        _, tally = embed(ITEMS, HashEncoder(precision="float16"), cache)
        assert (tally.embedded, tally.cached) == (0, 3)


@given(st.permutations(ITEMS))
def test_order_of_items_does_not_matter(items: list[Item]) -> None:
    """Each item's vector is its own, wherever it stands; the encoder sees the texts in one order."""
    encoder, reference = HashEncoder(), HashEncoder()
    vectors, _ = embed(items, encoder)
    expected, _ = embed(ITEMS, reference)
    assert encoder.asked == reference.asked
    for item, vector in zip(items, vectors, strict=True):
        assert vector.tobytes() == expected[ITEMS.index(item)].tobytes()


def test_a_catalogue_without_any_text() -> None:
    """Items without text get the vector of their id and are never a crash."""
    made, tally = embed_catalogue([Item("a", ""), Item("b", "")], HashEncoder())
    assert tally.without_text == 2
    assert made.vectors.tobytes() == np.stack([id_vector("a", 8), id_vector("b", 8)]).tobytes()
    assert embed([], HashEncoder())[0].shape == (0, 8)


@given(st.text().filter(lambda text: text.isprintable()), st.integers(1, 400))
def test_id_vector_is_a_unit_vector_of_the_id(item: str, dim: int) -> None:
    """Norm 1, finite, the same each time."""
    vector = id_vector(item, dim)
    assert vector.shape == (dim,)
    assert vector.dtype == np.float32
    assert abs(np.linalg.norm(vector.astype(np.float64)) - 1) < 1e-6
    assert vector.tobytes() == id_vector(item, dim).tobytes()


def test_id_vectors_are_golden_and_nearly_orthogonal() -> None:
    """Written down: a change here moves every item without text. Two ids mean nothing to each other."""
    assert id_vector("item-1", 4).tolist() == GOLDEN
    many = np.stack([id_vector(str(k), 384) for k in range(200)])
    cosines = many @ many.T - np.eye(200)
    assert abs(cosines).max() < 0.3
    assert abs(cosines.mean()) < 0.002


def test_nan_names_the_item(tmp_path: Path) -> None:
    """A model that overflows is an error that names the item, and nothing bad enters the cache."""
    with VectorCache(tmp_path) as cache:
        with pytest.raises(BadVectorError, match="item 'c'") as caught:
            embed(ITEMS, HashEncoder(poison="lie"), cache)
        assert caught.value.item == "c"
        _, tally = embed(ITEMS, HashEncoder(), cache)
    assert tally.cached == 0


def test_a_killed_run_keeps_its_windows(tmp_path: Path) -> None:
    """What was embedded before an error is in the cache for the next run."""
    items = [Item(str(k), f"{k:09d}") for k in range(WINDOW + 1)]
    last = max(item.text for item in items)
    with VectorCache(tmp_path) as cache:
        with pytest.raises(BadVectorError):
            embed(items, HashEncoder(poison=last), cache)
        encoder = HashEncoder()
        embed(items, encoder, cache)
    assert encoder.asked == [last]


def test_a_cache_in_use_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two replays at once: the second says once what it waits for, and goes on when the first has done."""
    monkeypatch.setattr("models.cache.TELL_S", 0.2)
    cache = VectorCache(tmp_path)
    threading.Timer(0.6, cache.close).start()
    started = time.monotonic()
    VectorCache(tmp_path).close()
    assert time.monotonic() - started > 0.5
    told = capsys.readouterr().err
    assert told.startswith(
        "headwater encode: waiting, for 600 s at most, until another process has done with the cache"
    )
    assert told.count("\n") == 1


def test_a_cache_in_use_and_a_file_in_its_place(tmp_path: Path) -> None:
    """One process at a time; what cannot be a cache is one clear error."""
    with VectorCache(tmp_path / "c"), pytest.raises(HeadwaterError, match="in use by another process"):
        VectorCache(tmp_path / "c", lock_wait_s=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadwaterError, match="cannot use"):
        VectorCache(tmp_path / "file")


def test_a_damaged_cache_is_told(tmp_path: Path) -> None:
    """Bytes that RocksDB does not trust are an error that says what to remove, not a wrong vector."""
    with VectorCache(tmp_path) as cache:
        embed(ITEMS, HashEncoder(), cache)
    for file in tmp_path.glob("*.sst"):
        raw = bytearray(file.read_bytes())
        raw[10:200] = bytes(190)
        file.write_bytes(raw)
    with pytest.raises(HeadwaterError, match="remove the folder"), VectorCache(tmp_path) as cache:
        embed(ITEMS, HashEncoder(), cache)
