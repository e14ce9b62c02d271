"""Laws of the standing's bytes."""

import pytest

from state.codec import Kind
from state.errors import CorruptBytes, UnknownSchema
from state.standing import SCHEMA_VERSION, Standing, decode_standing, encode_standing
from tests.golden.check import check_golden, with_version

GOLDEN = Standing(identity="0123456789abcdef" * 4, done_ms=1_600_000_079_999, folded_ms=1_600_000_019_999)


def test_golden() -> None:
    """Version 1 is read as it was written."""
    assert decode_standing(check_golden("standing-1", encode_standing(GOLDEN))) == GOLDEN


def test_damage_and_newer_versions_are_refused() -> None:
    """Where the learner stands is never guessed."""
    raw = encode_standing(GOLDEN)
    with pytest.raises(CorruptBytes):
        decode_standing(raw[:-1])
    with pytest.raises(UnknownSchema, match="schema version 2; this build reads 1"):
        decode_standing(with_version(raw, Kind.META, SCHEMA_VERSION, SCHEMA_VERSION + 1))
