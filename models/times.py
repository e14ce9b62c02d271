"""Reads an event time as it stands in a file: seconds, milliseconds or ISO 8601."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal

MAX_MS = 253_402_300_799_999  # the end of the year 9999; what lies beyond is a wrong unit, not a time
_MAX_S_MAGNITUDE = 10**11  # "auto": below it seconds (to the year 5138), from it on milliseconds (from 1973)
_NUMBER = re.compile(r"\d{1,20}(\.\d{0,20})?([eE]\+?\d{1,2})?", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)? ?([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MS = timedelta(milliseconds=1)

ReadTime = Callable[[str], int]


def time_reader(unit: str) -> ReadTime:
    """Return a function from text to Unix ms, -1 for what is no time between 1970 and 9999.

    Args:
        unit: s, ms, iso, or auto: each value by its form, a number by its magnitude. A fraction below 1 ms is cut off;
            an ISO time without an offset is UTC.
    """
    last_text, last_ms = "", -1  # neighbours often share their time

    def read(text: str) -> int:
        nonlocal last_text, last_ms
        if text != last_text:
            last_ms = _read(text.strip(), unit)
            last_text = text
        return last_ms

    return read


def _read(text: str, unit: str) -> int:
    if _NUMBER.fullmatch(text):
        return _number_ms(text, unit) if unit != "iso" else -1
    return _iso_ms(text) if unit in ("auto", "iso") else -1


def _number_ms(text: str, unit: str) -> int:
    number = int(text) if text.isdigit() else Decimal(text)
    in_seconds = unit == "s" or (unit == "auto" and number < _MAX_S_MAGNITUDE)
    ms = number * 1000 if in_seconds else number
    return int(ms) if ms <= MAX_MS else -1


def _iso_ms(text: str) -> int:
    match = _ISO.fullmatch(text)
    if not match:
        return -1
    day, minute, second, fraction, offset = match.groups()
    offset = "+00:00" if not offset or offset in "Zz" else offset.replace(":", "")
    offset = offset if ":" in offset else f"{offset[:3]}:{offset[3:] or '00'}"
    try:
        moment = datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{offset}")
        ms = (moment - _EPOCH) // _MS
    except (ValueError, OverflowError):  # the 30th of February; an offset beyond the year 9999
        return -1
    ms += int((fraction or "0").ljust(3, "0")[:3])
    return ms if 0 <= ms <= MAX_MS else -1
