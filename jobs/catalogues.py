"""The initial catalogue, and its changes, out of item vectors."""

from pathlib import Path
from typing import Any

import numpy as np

from models.vectors import decode_record, read_vectors
from online.catalogue import Catalogue, ItemChange
from online.record import Record
from online.session import DeadLetter
from online.settings import Settings
from state.errors import HeadwaterError


def load_catalogue(vectors: Path, settings: Settings) -> Catalogue:
    """Return the initial catalogue from a file of vectors."""
    items = read_vectors(vectors)
    return Catalogue.build(items.model_id, items.items, items.vectors, items.available_at_ms, settings.learning.dim)


def decode_change(row: Any, model_id: str, dim: int) -> ItemChange | DeadLetter:
    """Return the change in a record of the vectors topic, or a dead letter.

    Args:
        row: (partition, offset, time ms, key, value) of the record.
        model_id: of the catalogue; vectors of another model never meet it.
        dim: of the encoder's vectors.
    """
    partition, offset, at_ms, key, value = row
    key = None if key is None else bytes(key)
    value = None if value is None else bytes(value)
    record = Record(partition, offset, at_ms, key, value, "")
    item = item_of(key)
    if not item:
        return DeadLetter(record, "bad_id")
    if value is None:
        return ItemChange(at_ms, item, None)
    try:
        vector = decode_record(value)
    except HeadwaterError:
        return DeadLetter(record, "bad_vector")
    if vector.model_id != model_id or vector.vector.shape != (dim,):
        return DeadLetter(record, "other_model")
    if not np.isfinite(vector.vector).all():
        return DeadLetter(record, "bad_vector")
    return ItemChange(max(at_ms, vector.available_at_ms), item, np.asarray(vector.vector, np.float32))


def item_of(key: bytes | None) -> str:
    """Return the item that a record of the vectors topic is about, "" when its key names none."""
    try:
        return (key or b"").decode()
    except UnicodeDecodeError:
        return ""
