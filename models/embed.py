"""Items to vectors: from the cache, from the model, or from the item's id where there is no text."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.cache import VectorCache
from models.encoder import Encoder, id_vector
from models.items import Item
from models.vectors import ItemVectors, text_sha256
from state.errors import HeadwaterError

WINDOW = 2048  # texts between two writes to the cache: what a kill may cost, some seconds on a CPU


class BadVectorError(HeadwaterError):
    """The encoder made a vector that cannot be used."""

    def __init__(self, item: str, text: str) -> None:
        """Name the item."""
        super().__init__(text)
        self.item = item


class Tally(NamedTuple):
    """Where the vectors came from; the last three add up to the first."""

    items: int
    embedded: int  # by the model, in this call
    cached: int
    without_text: int
    seconds: float


def embed(
    items: Sequence[Item], encoder: Encoder, cache: VectorCache | None = None, *, progress: bool = False
) -> tuple[NDArray[np.float32], Tally]:
    """Return the items' unit vectors, shape (len(items), d), in their order, and where they came from.

    Args:
        items: need not be distinct; equal texts are embedded once.
        encoder: asked only for what the cache has not.
        cache: read, and filled as the work goes on; None: everything is embedded.
        progress: show a bar on stderr where that is a terminal.

    Raises:
        BadVectorError: the encoder gave NaN, infinity or the wrong length for an item.
    """
    started = time.monotonic()
    first_item = {}
    for item in reversed(items):
        first_item[item.text] = item.item
    texts = sorted(filter(None, first_item), key=lambda text: (-len(text), text))  # alike lengths meet in a window
    hashes = [text_sha256(text) for text in texts]
    known = dict(zip(texts, cache.get(encoder.model_id, encoder.precision, hashes), strict=True)) if cache else {}
    vectors = {text: vector for text, vector in known.items() if vector is not None}
    missing = [text for text in texts if text not in vectors]
    for window in _windows(missing, progress):
        made = encoder.encode(window)
        _require_usable(made, window, first_item, encoder)
        if cache:
            cache.put(encoder.model_id, encoder.precision, [text_sha256(text) for text in window], made)
        vectors.update(zip(window, made, strict=True))
    dim = len(next(iter(vectors.values()))) if vectors else encoder.dim
    out = np.empty((len(items), dim), np.float32)
    for row, item in enumerate(items):
        out[row] = vectors[item.text] if item.text else id_vector(item.item, dim)
    new = set(missing)
    embedded = sum(item.text in new for item in items)
    without_text = sum(not item.text for item in items)
    tally = Tally(len(items), embedded, len(items) - embedded - without_text, without_text, time.monotonic() - started)
    return out, tally


def embed_catalogue(
    items: Sequence[Item], encoder: Encoder, cache: VectorCache | None = None, *, progress: bool = False
) -> tuple[ItemVectors, Tally]:
    """Return the vectors of distinct items, ready for `write_vectors`."""
    vectors, tally = embed(items, encoder, cache, progress=progress)
    at_ms = np.array([item.available_at_ms for item in items], np.int64)
    return ItemVectors(encoder.model_id, tuple(item.item for item in items), vectors, at_ms), tally


def _windows(texts: list[str], progress: bool) -> Iterator[list[str]]:
    """Yield the texts by `WINDOW`; the bar moves on when the window has been dealt with."""
    if not texts:
        return
    from tqdm import tqdm

    hidden = not (progress and sys.stderr.isatty())
    with tqdm(total=len(texts), unit=" texts", desc="embedding", file=sys.stderr, disable=hidden) as bar:
        for start in range(0, len(texts), WINDOW):
            window = texts[start : start + WINDOW]
            yield window
            bar.update(len(window))


def _require_usable(made: NDArray[np.float32], texts: list[str], first_item: dict[str, str], encoder: Encoder) -> None:
    if made.ndim != 2 or made.shape != (len(texts), encoder.dim):
        raise HeadwaterError(
            f"the model {encoder.model_id} gave an array of shape {made.shape} for {len(texts)} texts; "
            f"expected ({len(texts)}, {encoder.dim}); use another model"
        )
    finite = np.isfinite(made).all(axis=1)
    if not finite.all():
        bad = first_item[texts[int(np.argmin(finite))]]
        raise BadVectorError(
            bad,
            f"the model {encoder.model_id} gave NaN or infinity for item {bad!r}; expected a unit vector; "
            "mend the item's text, or use another model (in half precision some models overflow)",
        )
