"""Items as they come: rows of a CSV, JSON lines or Parquet file, or records of the items topic."""

import codecs
import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from state.errors import HeadwaterError

ITEM_COLUMNS = ("item", "item_id")
TEXT_COLUMNS = ("title", "text", "description", "genres", "category", "brand")
AVAILABLE_AT = "available_at"
JOIN = ". "
MAX_BYTES = 1 << 20  # of one record of the items topic; Kafka's own default limit
MAX_FIELD_CHARS = 16 << 20  # of one CSV field; it bounds memory
_MAX_S = 10**11  # a smaller time is in seconds (to the year 5138), another in milliseconds (from 1973)
_MAX_MS = 253_402_300_799_999  # the end of the year 9999
_PARQUET_ROWS = 4096  # at a time


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the catalogue."""

    item: str
    text: str  # "" where there is none: its vector then comes from its id
    available_at_ms: int = 0  # event time from which it may be shown, Unix ms; 0 = from the start


class Retired(NamedTuple):
    """An item that is never shown again."""

    item: str


class Unreadable(NamedTuple):
    """A record that is no item."""

    reason: str


class Columns(NamedTuple):
    """Which column means what; None: by its usual names where present."""

    item: str | None = None
    text: tuple[str, ...] | None = None
    available_at: str | None = None


class _Record(msgspec.Struct, gc=False):
    """The JSON of a record of the items topic; other fields are allowed and not read."""

    item: str | int | None = None
    title: Any = None
    text: Any = None
    description: Any = None
    genres: Any = None
    category: Any = None
    brand: Any = None
    available_at: str | int | float | None = None
    available: bool = True


_DECODE = msgspec.json.Decoder(_Record).decode


USUAL_COLUMNS = Columns()


def load_items(path: Path, columns: Columns = USUAL_COLUMNS, form: str | None = None) -> list[Item]:
    """Return the distinct items of a file in order of first appearance; of several rows of an item the last holds."""
    latest: dict[str, Item] = {}
    for item in read_items(path, columns, form):
        latest[item.item] = item
    if not latest:
        raise HeadwaterError(f"{path} has no items; expected one a row; check how the file was made")
    return list(latest.values())


def read_items(path: Path, columns: Columns = USUAL_COLUMNS, form: str | None = None) -> Iterator[Item]:
    """Yield the items of a file in its order.

    Args:
        path: CSV, JSON lines or Parquet, plain or gzip.
        columns: which column means what.
        form: csv, jsonl or parquet; None: by the file's name.

    Raises:
        HeadwaterError: the file is missing or damaged, has no column for the item, or a row has no item or a bad time.
    """
    form = form or _form(path)
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if packed else plain
            yield from _items(path, _ROWS[form](path, stream), columns, same_keys=form != "jsonl")
    except FileNotFoundError:
        raise HeadwaterError(f"no items file {path}; expected CSV, JSON lines or Parquet; correct the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HeadwaterError(f"{path} is damaged: {error}; expected a whole gzip file; copy it again") from None
    except OSError as error:
        raise HeadwaterError(f"cannot read {path}: {error.strerror or error}; check the path and its rights") from None


def read_record(key: bytes | None, value: bytes | None) -> Item | Retired | Unreadable:
    """Read a record of the items topic: JSON, or null for a retired item. The key, where there is one, is the item."""
    try:
        item = key.decode() if key else ""
        if value is None:
            return Retired(item) if item else Unreadable("null value without a key")
        if len(value) > MAX_BYTES:
            return Unreadable(f"{len(value)} bytes, at most {MAX_BYTES} are read")
        found = _DECODE(value)
        item = item or _text(found.item)
        if not item:
            return Unreadable("no item")
        item.encode()  # a lone surrogate, which JSON escapes can spell, is no text
        if not found.available:
            return Retired(item)
        text = _join(getattr(found, name) for name in TEXT_COLUMNS)
        text.encode()
        return Item(item, text, _ms(found.available_at))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {str(error)[:120]}")


def _items(path: Path, rows: Iterator[Mapping[str, Any]], columns: Columns, *, same_keys: bool) -> Iterator[Item]:
    """Yield the items of rows; JSON lines may differ in their keys, so there each row is asked."""
    item_column = ""
    texts: tuple[str, ...] = ()
    at_column = columns.available_at or AVAILABLE_AT
    for number, row in enumerate(rows, 1):
        if number == 1 or not same_keys:
            item_column, texts = _columns(path, list(row), columns, strict=same_keys)
        item = _text(row[item_column])
        if not item:
            raise HeadwaterError(
                f"row {number} of {path} has no item in column {item_column!r}; expected its id; remove or mend the row"
            )
        try:
            at_ms = _ms(row.get(at_column))
        except ValueError as error:
            raise HeadwaterError(
                f"row {number} of {path} (item {item!r}) has {error} in column {at_column!r}; expected Unix seconds, "
                "Unix milliseconds or ISO 8601, or nothing for an item available from the start; mend the row"
            ) from None
        yield Item(item, _join(row.get(name) for name in texts), at_ms)


def _columns(path: Path, found: list[str], columns: Columns, *, strict: bool) -> tuple[str, tuple[str, ...]]:
    """Return the item's column and those of the text."""
    named = (*(columns.text or ()), *filter(None, [columns.available_at])) if strict else ()
    for wanted in named:
        if wanted not in found:
            raise _no_column(path, found, wanted)
    usual = {name.strip().lower(): name for name in reversed(found)}
    item = columns.item or next((usual[name] for name in ITEM_COLUMNS if name in usual), "item")
    if item not in found:
        raise _no_column(path, found, item)
    if columns.text is not None:
        return item, columns.text
    return item, tuple(usual[name] for name in TEXT_COLUMNS if name in usual)


def _no_column(path: Path, found: list[str], wanted: str) -> HeadwaterError:
    near = difflib.get_close_matches(wanted, found, 1, 0.5)
    return HeadwaterError(
        f"{path} has no column {wanted!r}; found {', '.join(map(repr, found[:20])) or 'none'}; "
        f"{f'did you mean {near[0]!r}? ' if near else ''}name the column under [items.columns] of the job.toml, "
        "or rename it in the file"
    )


def _csv(path: Path, stream: BinaryIO) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.DictReader(codecs.iterdecode(stream, "utf-8-sig"), strict=True)
    try:
        if reader.fieldnames is None:
            return
        reader.fieldnames = [name.strip() for name in reader.fieldnames]
        for row in reader:
            if None in row:
                raise HeadwaterError(
                    f"line {reader.line_num} of {path} has more fields than the header's {len(reader.fieldnames)}; "
                    'expected as many; put fields with a comma in them in "quotes"'
                )
            yield row
    except UnicodeDecodeError as error:
        raise HeadwaterError(
            f"{path} is not UTF-8 after line {reader.line_num}: {error.reason}; convert it to UTF-8"
        ) from None
    except csv.Error as error:
        raise HeadwaterError(f"line {reader.line_num} of {path} is no CSV: {error}; mend the line") from None


def _jsonl(path: Path, stream: BinaryIO) -> Iterator[Mapping[str, Any]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, line in enumerate(stream, 1):
        if line.strip():
            try:
                yield decode(line.removeprefix(b"\xef\xbb\xbf"))
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                raise HeadwaterError(f"line {number} of {path} is no JSON object: {error}; mend the line") from None


def _parquet(path: Path, stream: BinaryIO) -> Iterator[Mapping[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    source = io.BytesIO(stream.read()) if isinstance(stream, gzip.GzipFile) else stream  # it is read from its end
    try:
        for batch in pyarrow.parquet.ParquetFile(source).iter_batches(_PARQUET_ROWS):
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise HeadwaterError(f"{path} is no whole Parquet file: {error}; copy it again") from None


_ENDS = {"csv": (".csv",), "jsonl": (".jsonl", ".ndjson", ".json"), "parquet": (".parquet", ".pq")}
_ROWS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}


def _form(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    for form, ends in _ENDS.items():
        if name.endswith(ends):
            return form
    raise HeadwaterError(
        f"the format of {path} is not known by its name; expected .csv, .jsonl or .parquet, each with or without .gz; "
        "rename the file"
    )


def _join(parts: Iterable[Any]) -> str:
    return JOIN.join(filter(None, map(_text, parts)))


def _text(value: Any) -> str:
    """Return a value as text, "" for what is absent; the parts of a list are joined by a space."""
    if isinstance(value, str):
        return value.strip()
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  # NaN: a data frame's gap
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # ids with gaps come as floats from data frames
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return " ".join(filter(None, map(_text, value)))
    return str(value)


def _ms(value: Any) -> int:
    """Return a time as Unix ms, 0 for what is absent."""
    if isinstance(value, datetime):
        moment = value
    else:
        text = _text(value)
        if not text:
            return 0
        try:
            number = float(text)
            ms = number * 1000 if abs(number) < _MAX_S else number
            if not 0 <= ms <= _MAX_MS:
                raise OverflowError
            return int(ms)
        except ValueError:  # not a number
            pass
        except OverflowError:
            raise ValueError(f"the time {text[:40]!r}") from None
        try:
            moment = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1] in "zZ" else text)
        except ValueError:
            raise ValueError(f"the time {text[:40]!r}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    ms = int(moment.timestamp() * 1000)
    if ms < 0:
        raise ValueError(f"the time {str(value)[:40]!r}")
    return ms
