"""Items as they come: rows of a CSV, JSON lines or Parquet file, or records of the items topic."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from models.cells import Row, id_text, text_of
from models.columns import find_columns
from models.rows import SUFFIXES, Table, form_of, open_table
from models.times import ReadTime, time_reader
from state.errors import HeadwaterError
from state.utf8 import is_utf8

ITEM_COLUMNS = ("item", "item_id")
TEXT_COLUMNS = ("title", "text", "description", "genres", "category", "brand")
AVAILABLE_AT, AVAILABLE = "available_at", "available"
JOIN = ". "
MAX_BYTES = 1 << 20  # of one record of the items topic; Kafka's own default limit
NEVER_MS = 2**63 - 1  # an event time that does not come: of an item that is not available
_AVAILABLE = {
    **dict.fromkeys(("", "true", "1", "yes", "y", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "f"), False),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the catalogue."""

    item: str
    text: str  # "" where there is none: its vector then comes from its id
    available_at_ms: int = 0  # event time from which it may be shown, Unix ms; 0 = from the start, NEVER_MS = never
    title: str = field(default="", compare=False)  # the first of its texts: what a person calls it


class Retired(NamedTuple):
    """An item that is never shown again."""

    item: str


class Unreadable(NamedTuple):
    """A record that is no item."""

    reason: str  # a code of dead letters
    problem: str  # for a person


class Columns(NamedTuple):
    """Which column means what; None: by its usual names where present."""

    item: str | None = None
    text: tuple[str, ...] | None = None
    available_at: str | None = None
    available: str | None = None


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
        HeadwaterError: the file is missing or damaged, has no column for the item, or a row has no item, a bad time, or
            does not say whether it is available.
    """
    form = form or form_of(path)
    if not form:
        raise HeadwaterError(
            f"the format of {path} is not known by its name; expected one that ends in {', '.join(SUFFIXES)}, "
            "with or without .gz; rename the file"
        )
    if not path.exists():
        raise HeadwaterError(f"no items file {path}; expected CSV, JSON lines or Parquet; correct the path")
    with open_table(path, form, lists=True) as table:
        found = _columns(path, table, columns)
        texts = _text_columns(path, table, columns)
        at_column = found.get("available_at")
        read_time = time_reader("ms" if at_column and table.in_ms(at_column) else "auto")
        wanted = [found["item"], at_column, found.get("available"), *texts]
        for number, row in enumerate(table.rows(wanted), 1):
            try:
                yield _item(row, read_time)
            except ValueError as error:
                where = f"line {table.line}" if table.line else f"row {number}"
                raise HeadwaterError(f"{where} of {path} {error}; mend it, or remove it") from None


def read_record(key: bytes | None, value: bytes | None) -> Item | Retired | Unreadable:
    """Read a record of the items topic: JSON, or null for a retired item. The key, where there is one, is the item."""
    try:
        item = key.decode() if key else ""
    except UnicodeDecodeError as error:
        return Unreadable("bad_id", f"the key is not UTF-8: {error.reason}")
    if value is None:
        return Retired(item) if item else Unreadable("null_value", "null value without a key")
    if len(value) > MAX_BYTES:
        return Unreadable("too_large", f"{len(value)} bytes, at most {MAX_BYTES} are read")
    try:
        return _recorded(item, _DECODE(value))
    except msgspec.ValidationError as error:
        return Unreadable("bad_schema", str(error)[:120])
    except msgspec.DecodeError as error:
        return Unreadable("bad_json" if is_utf8(value) else "bad_utf8", str(error)[:120])
    except RecursionError:
        return Unreadable("too_deep", "the JSON is nested too deeply")
    except UnicodeError as error:
        return Unreadable("bad_utf8", str(error)[:120])


def _recorded(item: str, found: _Record) -> Item | Retired | Unreadable:
    """Return the item of a record; `item` is its key."""
    item = item or ("" if found.item is None else str(found.item))
    if not item.strip():
        return Unreadable("bad_id", "no item")
    item.encode()  # a lone surrogate, which JSON escapes can spell, is no text
    if not found.available:
        return Retired(item)
    texts = [getattr(found, name) for name in TEXT_COLUMNS]
    text = _join(texts)
    text.encode()
    at = text_of(found.available_at) or ""
    at_ms = time_reader("auto")(at) if at.strip() else 0
    return (
        Item(item, text, at_ms, _first(texts)) if at_ms >= 0 else Unreadable("bad_time", f"available_at is {at[:40]!r}")
    )


def _columns(path: Path, table: Table, columns: Columns) -> dict[str, str]:
    """Return the columns of what an item is besides its text."""
    named = {"item": columns.item, "available_at": columns.available_at, "available": columns.available}
    usual = {"item": ITEM_COLUMNS, "available_at": (AVAILABLE_AT,), "available": (AVAILABLE,)}
    found, complete = table.columns, table.has_header
    return find_columns(path, found, named, usual, needed=("item",), table="items.columns", complete=complete)


def _text_columns(path: Path, table: Table, columns: Columns) -> list[str]:
    """Return the columns whose texts are joined."""
    if columns.text is None:
        usual = {name: (name,) for name in TEXT_COLUMNS}
        found = find_columns(
            path, table.columns, {}, usual, needed=(), table="items.columns", complete=table.has_header
        )
        return list(found.values())
    return [
        find_columns(path, table.columns, {"text": name}, {"text": ()}, needed=(), table="items.columns")["text"]
        for name in columns.text
    ]


def _item(row: Row, read_time: ReadTime) -> Item:
    """Return a row's item; raise ValueError where it has none."""
    if row.texts is None or row.bad:
        raise ValueError(f"cannot be read: {row.problem}; expected an item's id and its texts")
    item, at, available, *texts = row.texts
    item = id_text(item)
    if not item:
        raise ValueError("has no item; expected its id")
    for text in (item, *texts):
        text.encode()  # a lone surrogate, which JSON escapes can spell, is no text
    shown = _AVAILABLE.get(available.strip().lower())
    if shown is None:
        raise ValueError(f"(item {item!r}) has {available[:40]!r} for available; expected true or false")
    at_ms = read_time(at) if at.strip() else 0
    if at_ms < 0:
        raise ValueError(
            f"(item {item!r}) has the time {at[:40]!r} for available_at; expected Unix seconds, Unix milliseconds or "
            "ISO 8601, or nothing for an item available from the start"
        )
    return Item(item, _join(texts), at_ms if shown else NEVER_MS, _first(texts))


def _join(parts: Iterable[Any]) -> str:
    return JOIN.join(_texts(parts))


def _first(parts: Iterable[Any]) -> str:
    return next(_texts(parts), "")


def _texts(parts: Iterable[Any]) -> Iterator[str]:
    return filter(None, ((text_of(part) or "").strip() for part in parts))
