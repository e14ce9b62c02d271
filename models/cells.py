"""The cells of a row as texts: what is no text in a file, such as a number or a list, becomes one."""

import decimal
import gzip
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import msgspec

Stream = BinaryIO | gzip.GzipFile


class Row(NamedTuple):
    """One row: the wanted columns as texts, "" for what is absent; or what is wrong with it."""

    texts: Sequence[str] | None
    handle: Any  # for `Table.original`
    problem: str = ""  # with the row, or with the cells that are `bad`
    bad: tuple[int, ...] = ()  # which of the wanted columns hold here what is no text; they stand as ""


def id_text(text: str) -> str:
    """Return a user's or item's id as events and items files both have it: no spaces around it, "" for none."""
    return text.strip()


def text_of(value: Any) -> str | None:
    """Return a value as text, "" for what is absent, None for bytes that are not UTF-8; a list's parts are joined."""
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(text_of, value)))
    if isinstance(value, dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return scalar_text(value)


def scalar_text(value: Any) -> str | None:
    """Return a value as text as `text_of` does; None for lists and objects too."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # noqa: PLR0124  # NaN is the missing value of a float column
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)  # ids with gaps come as floats from data frames
    if isinstance(value, decimal.Decimal):
        return str(int(value)) if value == value.to_integral_value() else str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None if isinstance(value, list | tuple | dict) else str(value)


def json_text(raw: msgspec.Raw | None) -> str | None:
    """Return a JSON value as text: a string's content, a number as it is written unless it is whole, "" for null.

    None stands for an array or an object.
    """
    if raw is None:
        return ""
    written = bytes(raw)
    if written[:1] == b'"':
        return str(msgspec.json.decode(written, type=str))
    if written[:1] in (b"{", b"["):
        return None
    if written == b"null":
        return ""
    return written.decode() if written.isdigit() else _whole(written.decode())


def json_text_or_list(raw: msgspec.Raw | None) -> str | None:
    """Return a JSON value as `json_text` does, an array or object as `text_of` does."""
    text = json_text(raw)
    return text_of(msgspec.json.decode(raw)) if text is None and raw is not None else text


def _whole(written: str) -> str:
    """Return a JSON number without its fraction where that is zero: 1 for 1.0, as Parquet gives it too."""
    if written in ("true", "false") or not any(mark in written for mark in ".eE"):
        return written
    number = float(written)
    return str(int(number)) if number.is_integer() else written


def checked(texts: Sequence[str | None], handle: Any, problem: str) -> Row:
    """Return the row of these texts; those that are None are bad, which is the `problem`."""
    if None not in texts:
        return Row(texts, handle)  # type: ignore[arg-type]  # no None in it
    bad = tuple(place for place, text in enumerate(texts) if text is None)
    return Row([text or "" for text in texts], handle, problem, bad)
