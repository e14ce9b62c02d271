"""Records of the vectors topic: a change of the catalogue, or a dead letter with its reason."""

import numpy as np
import pytest

from jobs.catalogues import decode_change
from models.vectors import VectorRecord, encode_record, text_sha256
from online.catalogue import ItemChange
from online.session import DeadLetter

MODEL, DIM = "model@1", 3


def vector(model: str = MODEL, values: tuple[float, ...] = (1, 0, 0), available_at_ms: int = 0) -> bytes:
    return encode_record(VectorRecord(model, text_sha256("x"), available_at_ms, np.array(values, np.float32)))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (None, vector(), "bad_id"),
        (b"", vector(), "bad_id"),
        (b"\xff", None, "bad_id"),
        (b"i", b"", "bad_vector"),
        (b"i", vector()[:-1], "bad_vector"),
        (b"i", vector(values=(float("nan"), 0, 0)), "bad_vector"),
        (b"i", vector(values=(float("inf"), 0, 0)), "bad_vector"),
        (b"i", vector("model@2"), "other_model"),
        (b"i", vector(values=(1, 0)), "other_model"),
    ],
)
def test_what_cannot_be_used_has_a_reason(key: bytes | None, value: bytes | None, reason: str) -> None:
    """And its bytes and place, unchanged."""
    found = decode_change((2, 5, 1000, key, value), MODEL, DIM)
    assert isinstance(found, DeadLetter)
    assert found.reason == reason
    assert found.record[:5] == (2, 5, 1000, key, value)


def test_a_change_holds_from_its_time_on() -> None:
    """The record's own, or later where the item becomes available later; null retires."""
    for available_at_ms, at_ms in ((0, 1000), (500, 1000), (2000, 2000)):
        found = decode_change((0, 0, 1000, b"i", vector(available_at_ms=available_at_ms)), MODEL, DIM)
        assert isinstance(found, ItemChange)
        assert (found.at_ms, found.item, None if found.vector is None else found.vector.tolist()) == (
            at_ms, "i", [1, 0, 0],
        )  # fmt: skip
    assert decode_change((0, 0, 1000, b"i", None), MODEL, DIM) == ItemChange(1000, "i", None)
