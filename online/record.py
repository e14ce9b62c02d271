"""A source record and its one text form: the line of a tick and of the canonical log, safe for every byte."""

from typing import NamedTuple

from state.errors import CorruptBytes

FIELD = "\u241f"  # between the fields of a record
RECORD = "\u241e"  # between the records of a tick
NULL = "\u2400"  # a key or value that is absent, which is not the empty one
NEWLINE, RETURN = "\u240a", "\u240d"  # line ends inside a key or value, so that a record is one line of a file
SEPARATORS = (FIELD, RECORD, NULL, NEWLINE, RETURN)
"""Bytes travel as latin-1, code points 0 to 255, so none of these can occur inside a key or value."""

LATE = "late"  # older than the newest record before it in its partition, by more than the bound
LATE_IDLE = "late_idle"  # late because its partition had been declared idle and came back
BAD_TIME = "bad_time"  # the time could not be read; the record's time is that of the newest before it
BAD_ROW = "bad_row"  # not a row of the file: invalid UTF-8, a wrong number of fields, a value of the wrong type
MISSING_USER = "missing_user"
MISSING_ITEM = "missing_item"
FLAGS = (LATE, LATE_IDLE, BAD_TIME, BAD_ROW, MISSING_USER, MISSING_ITEM)
"""Reason codes given before the tick. Dead letters carry them, so a code never changes its meaning."""

_ESCAPE = str.maketrans({"\n": NEWLINE, "\r": RETURN})
_FIELDS = 6


class Record(NamedTuple):
    """One record of a source, however it came."""

    partition: int  # 0 for a file
    offset: int  # the number of the row in a file, from 0
    at_ms: int  # event time, Unix ms
    key: bytes | None  # the user, UTF-8
    value: bytes | None  # the event's JSON, or the original bytes of a flagged record
    flag: str  # "" or one of FLAGS


def encode_line(record: Record) -> str:
    """Return the record as text without line ends and without `RECORD`; `decode_line` is its inverse."""
    partition, offset, at_ms, key, value, flag = record
    return f"{partition}{FIELD}{offset}{FIELD}{at_ms}{FIELD}{flag}{FIELD}{_text(key)}{FIELD}{_text(value)}"


def decode_line(line: str) -> Record:
    """Return the record of one line; raw line ends inside a field are taken as they are.

    Raises:
        CorruptBytes: not a line that `encode_line` or the tick's SQL writes.
    """
    fields = line.split(FIELD)
    if len(fields) != _FIELDS:
        raise CorruptBytes(
            f"a tick's line has {len(fields)} fields, starting {line[:60]!r}; expected {_FIELDS} (partition, "
            "offset, at_ms, flag, key, value); the file was cut or edited: write the canonical log again"
        )
    partition, offset, at_ms, flag, key, value = fields
    try:
        return Record(int(partition), int(offset), int(at_ms), _bytes(key), _bytes(value), flag)
    except ValueError as error:  # UnicodeEncodeError is one
        raise CorruptBytes(
            f"a tick's line cannot be read: {error}; it starts {line[:60]!r}; expected whole numbers and latin-1 text; "
            "the file was cut or edited: write the canonical log again"
        ) from None


def _text(field: bytes | None) -> str:
    if field is None:
        return NULL
    text = field.decode("latin-1")
    return text.translate(_ESCAPE) if "\n" in text or "\r" in text else text


def _bytes(field: str) -> bytes | None:
    if field == NULL:
        return None
    if NEWLINE in field or RETURN in field:
        field = field.replace(NEWLINE, "\n").replace(RETURN, "\r")
    return field.encode("latin-1")
