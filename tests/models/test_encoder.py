"""Laws of the frozen encoder, with the real MiniLM."""

import sys
from pathlib import Path

import numpy as np
import pytest

from models.cache import VectorCache
from models.embed import embed
from models.encoder import MAX_CHARS, TextEncoder, _batches, _forward
from models.items import Item

TITLES = ["Star Wars: space opera", "A galaxy far away: space adventure", "How to bake bread", "Sourdough baking book"]
RAGGED = [*TITLES, "x", "y" * 3 * MAX_CHARS, "\U0001f680 naïve — テスト", " ", "word " * 400]


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return TextEncoder()


@pytest.mark.model
def test_alike_titles_are_closer(minilm: TextEncoder) -> None:
    """Meaning: two films of space are closer than a film and a book on bread."""
    space, galaxy, bread, sourdough = minilm.encode(TITLES)
    assert min(space @ galaxy, bread @ sourdough) > 2 * max(space @ bread, galaxy @ sourdough)


@pytest.mark.model
def test_unit_vectors_in_order_whatever_the_texts(minilm: TextEncoder) -> None:
    """float32, norm 1; the order of the texts changes no bit, another company at most the last ones."""
    made = minilm.encode(RAGGED)
    assert made.shape == (len(RAGGED), minilm.dim) == (len(RAGGED), 384)
    assert made.dtype == np.float32
    assert np.abs(np.linalg.norm(made.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert minilm.encode(RAGGED[::-1])[::-1].tobytes() == made.tobytes()
    for text, vector in zip(RAGGED, made, strict=True):
        assert np.abs(minilm.encode([text])[0] - vector).max() < 1e-5
    assert minilm.encode([]).shape == (0, 384)


@pytest.mark.model
def test_same_vectors_as_the_library(minilm: TextEncoder) -> None:
    """Our batching and threads change nothing that matters."""
    theirs = minilm._model().encode(RAGGED, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(minilm.encode(RAGGED) - theirs).max() < 1e-5


@pytest.mark.model
def test_second_run_embeds_nothing(minilm: TextEncoder, tmp_path: Path) -> None:
    """Bytes are equal, and the second encoder never loads its weights; an empty text is no crash."""
    items = [Item(str(row), text.strip()) for row, text in enumerate(RAGGED)]
    with VectorCache(tmp_path) as cache:
        first, tally = embed(items, minilm, cache)
        assert (tally.embedded, tally.without_text) == (len(RAGGED) - 1, 1)
        again = TextEncoder()
        second, tally = embed(items, again, cache)
    assert (tally.embedded, tally.cached, again.device) == (0, len(RAGGED) - 1, "not loaded")
    assert first.tobytes() == second.tobytes()


@pytest.mark.model
def test_out_of_gpu_memory_halves_the_batch() -> None:
    """What does not fit is cut until it fits, in order; one text that does not fit is an error."""
    import torch

    class Small:
        def encode_document(self, texts: list[str], **_: object) -> np.ndarray:  # type: ignore[type-arg]
            if len(texts) > 2:
                raise torch.OutOfMemoryError("full")
            return np.array([[float(text), 0] for text in texts], np.float16)

    class Tiny:
        def encode_document(self, texts: list[str], **_: object) -> None:
            raise torch.OutOfMemoryError("full")

    assert _forward(Small(), list("12345")).tolist() == [[1, 0]] * 5
    with pytest.raises(torch.OutOfMemoryError):
        _forward(Tiny(), ["1"])


def test_batches_hold_each_text_once_and_no_more_than_fits() -> None:
    """Longest first; padded tokens and texts are bounded; a text too long for a batch has one to itself."""
    lengths = [*range(1, 300), 5000]
    batches = _batches([str(length) for length in lengths], lengths, 64, 1024)
    assert sorted(k for batch in batches for k in batch) == list(range(300))
    assert all(len(batch) == 1 or len(batch) * max(lengths[k] for k in batch) <= 1024 for batch in batches)
    assert max(map(len, _batches(["x"] * 200, [3] * 200, 64, 1024))) == 64
    assert batches[0] == [299]


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    """`models` is imported by commands that never embed."""
    import subprocess

    code = "import sys, models.embed, models.side, jobs.encode; print({'torch', 'pyarrow', 'tqdm'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.model
def test_precision_is_known_without_loading() -> None:
    """The cache is asked before the weights are read, so the precision follows from the device alone."""
    for device, precision in (("cpu", "float32"), ("cuda", "float16"), ("cuda:1", "float16")):
        encoder = TextEncoder(device=device)
        assert (encoder.precision, encoder.device) == (precision, "not loaded")
