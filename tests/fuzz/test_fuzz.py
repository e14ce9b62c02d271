"""Mutated bytes raise nothing, take no time and grow nothing; and a reader that is not so is found."""

import time
from random import Random

import pytest

from tests.fuzz import targets
from tests.fuzz.fuzzing import Found, fuzz

FEW, MANY = 20_000, 1_000_000


def test_no_bytes_break_a_reader() -> None:
    """Events, items, vectors, lines and stored state: read, or refused with a reason; both happen to each."""
    told = fuzz(FEW, seed=1).told
    assert all(len(counts) > 1 for name, counts in told.items() if name != "canonical line"), told
    assert told["event"].keys() >= {
        "an event", "bad_json", "bad_utf8", "bad_schema", "bad_id", "key_mismatch", "too_deep", "too_large",
        "other_domain",
    }  # fmt: skip


@pytest.mark.slow
def test_no_bytes_of_many_break_a_reader() -> None:
    """The same for all that CI has the time for; `make fuzz N=...` is for a release."""
    fuzz(MANY, seed=2)


def leaky(value: bytes, random: Random) -> str:
    """Keep everything."""
    KEPT.append(b"x" * (1 << 14))
    return ""


def slow(value: bytes, random: Random) -> str:
    """Take more than a second of CPU for brackets."""
    end = time.process_time() + (1.1 if b"[[" in value else 0)
    while time.process_time() < end:
        pass
    return ""


def fragile(value: bytes, random: Random) -> str:
    """Trust that bytes are UTF-8."""
    return value.decode()[:0]


KEPT: list[bytes] = []


@pytest.mark.parametrize(
    ("reader", "told"), [(fragile, "UnicodeDecodeError"), (slow, r"takes 1\.\d s"), (leaky, "memory grew to")]
)
def test_a_bad_reader_is_found(monkeypatch: pytest.MonkeyPatch, reader: object, told: str) -> None:
    """One that raises, hangs or leaks."""
    monkeypatch.setattr(targets, "TARGETS", {"event": (reader, targets.EVENTS, 1)})
    monkeypatch.setattr("tests.fuzz.fuzzing.TARGETS", targets.TARGETS)
    monkeypatch.setattr("tests.fuzz.fuzzing.GROWTH", 1.1)  # what this process holds already may be a lot
    try:
        with pytest.raises(Found, match=told):
            fuzz(20_000, seed=0)
    finally:
        KEPT.clear()
