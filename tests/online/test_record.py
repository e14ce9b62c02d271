"""Laws of a record's text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.record import FIELD, FLAGS, NULL, RECORD, SEPARATORS, Record, decode_line, encode_line
from state.errors import CorruptBytes

ALL_BYTES = bytes(range(256))
fields = st.none() | st.binary() | st.sampled_from([ALL_BYTES, b"", b"\r\n", "\u241f\u241e\u2400\u240a".encode()])
records = st.builds(
    Record,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**53), 2**53),
    fields,
    fields,
    st.sampled_from(["", *FLAGS]),
)


@given(record=records)
def test_round_trip(record: Record) -> None:
    """Every record comes back, and its line holds no line end and no record separator."""
    line = encode_line(record)
    assert decode_line(line) == record
    assert not {"\n", "\r", RECORD} & set(line)


@given(record=records)
def test_a_line_survives_a_utf8_file(record: Record) -> None:
    """The canonical log is UTF-8: the line's own bytes come back as the same record."""
    assert decode_line(encode_line(record).encode().decode()) == record


def test_every_byte_value_alone() -> None:
    """Each of the 256 bytes round-trips as key and as value."""
    for byte in ALL_BYTES:
        record = Record(0, 1, 2, bytes([byte]), bytes([byte, byte]), "")
        assert decode_line(encode_line(record)) == record


def test_raw_line_ends_are_accepted() -> None:
    """SQL's DECODE escapes nothing; its lines mean the same."""
    record = Record(3, 4, 5, b"u\n", b"a\r\nb", "late")
    sql = FIELD.join(["3", "4", "5", "late", "u\n", "a\r\nb"])
    assert decode_line(sql) == record


def test_null_is_not_empty() -> None:
    """An absent key and an empty one are different records."""
    absent, empty = Record(0, 0, 0, None, b"", ""), Record(0, 0, 0, b"", None, "")
    assert encode_line(absent) != encode_line(empty)
    assert decode_line(encode_line(absent)) == absent


def test_separators_are_outside_latin1() -> None:
    """No byte decodes to a separator, so nothing needs a second level of escapes."""
    assert all(ord(mark) > 255 for mark in SEPARATORS)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "has 1 fields"),
        (FIELD.join("123456") + FIELD, "has 7 fields"),
        (FIELD.join(["x", "0", "0", "", NULL, NULL]), "invalid literal for int"),
        (FIELD.join(["0", "0", "0", "", "\u20ac", NULL]), "latin-1"),
    ],
)
def test_damaged_lines(line: str, text: str) -> None:
    """A damaged line is one clear error."""
    with pytest.raises(CorruptBytes, match=text):
        decode_line(line)
