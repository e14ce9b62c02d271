"""Turns an events file into the canonical log: one record a line, flagged where it is bad or late."""

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from jobs.config import Events
from jobs.event_ids import EventIds
from jobs.progress import day
from models.cells import Row, id_text
from models.columns import find_columns
from models.rows import Table, open_table
from models.times import MAX_MS, ReadTime, time_reader
from online.record import BAD_ROW, BAD_TIME, LATE, MISSING_ITEM, MISSING_USER, Record, decode_line, encode_line
from state.errors import HeadwaterError

USUAL_COLUMNS = {
    "user": ("user", "user_id"),
    "item": ("item", "item_id"),
    "time": ("ts", "time", "timestamp", "at"),
    "action": ("action",),
    "event_id": ("event_id",),
    "value": ("value", "rating"),
    "basket": ("basket", "basket_id"),
    "session": ("session", "session_id"),
}
"""Meaning -> the names that are tried when the configuration names no column."""

WRITE_LINES = 4096  # at a time
_VALUE = (list(USUAL_COLUMNS).index("value"),)
_EXACT_DIGITS = 15  # a whole number of as many is exact as float64
_ENCODE = msgspec.json.Encoder().encode


class LogSummary(NamedTuple):
    """What a canonical log holds."""

    records: int
    first_ms: int  # event time of the oldest good record; 0 when there is none
    last_ms: int  # of the newest
    sha256: str  # of the canonical log's bytes
    flags: dict[str, int]  # flag -> records; without the good ones
    examples: dict[str, str]  # flag -> what the first such row looks like


class _Body(msgspec.Struct, omit_defaults=True, gc=False):
    """The event's JSON without its id; the order of its fields is part of derived ids."""

    user: str
    item: str
    action: str | None = None
    value: int | float | None = None
    basket: str | None = None
    session: str | None = None
    context: dict[str, str] | None = None


def write_canonical(events: Events, out: Path, *, limit: int | None = None) -> LogSummary:
    """Write the canonical log of an events file; the log appears whole or not at all.

    A file of which most is late is read all the same, with a warning on stderr: that is what was asked for, and rarely
    what was meant.

    Args:
        events: with `path` and `format` set.
        out: the log; its folder exists.
        limit: read only so many rows.

    Raises:
        HeadwaterError: the file cannot be read, lacks a column, or has not one good row.
    """
    records = _Records(events)
    digest = hashlib.sha256()
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as log:
            lines = map(encode_line, islice(records, limit))
            while block := "".join(f"{line}\n" for line in islice(lines, WRITE_LINES)):
                raw = block.encode()
                digest.update(raw)
                log.write(raw)
        records.check()
        if warning := records.warning():
            print(warning, file=sys.stderr)
        partial.replace(out)
    except OSError as error:  # of writing: the reader has told its own
        raise HeadwaterError(
            f"cannot write {partial}: {error.strerror}; expected a folder with room; free space, or choose another"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink()
    return records.summary(digest.hexdigest())


def read_canonical(path: Path) -> Iterator[Record]:
    """Yield the records of a canonical log.

    Raises:
        HeadwaterError: the log cannot be read, or a line is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as log:
            for line in log:
                yield decode_line(line.removesuffix("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise HeadwaterError(f"cannot read the canonical log {path}: {error}; run the replay again") from None


class _Records:
    """The records of an events file in its order, counted as they go by; to be iterated once."""

    def __init__(self, events: Events) -> None:
        if events.path is None:
            raise HeadwaterError(f"events come from the topic {events.topic!r}; expected a file; set events.path")
        self._file = events.path
        self._events = events
        self._ids = EventIds(events.lateness_ms)
        self._count = 0
        self._first_ms, self._last_ms = MAX_MS, 0
        self._flags: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._newest_ms, self._newest_row = 0, 0

    def __iter__(self) -> Iterator[Record]:
        with open_table(self._file, self._events.format) as table:
            columns = self._columns(table)
            read_time = time_reader("ms" if table.in_ms(columns["time"]) else self._events.time_unit)
            read = [*(columns.get(meaning) for meaning in USUAL_COLUMNS), *self._context(table)]
            for offset, row in enumerate(table.rows(read)):
                self._count += 1
                record = self._record(offset, row, read_time, self._newest_ms)
                if record.flag:
                    record = record._replace(value=table.original(row.handle))
                if record.at_ms > self._newest_ms:
                    self._newest_ms, self._newest_row = record.at_ms, self._count
                yield record

    def _columns(self, table: Table) -> dict[str, str]:
        named = {meaning: getattr(self._events.columns, meaning) for meaning in USUAL_COLUMNS}
        return find_columns(
            self._file,
            table.columns,
            named,
            USUAL_COLUMNS,
            needed=("user", "item", "time"),
            table="events.columns",
            complete=table.has_header,
        )

    def _context(self, table: Table) -> tuple[str, ...]:
        """Return the columns that describe user or request; each must be there."""
        named = self._events.columns.context or ()
        for name in named:
            find_columns(
                self._file, table.columns, {"context": name}, {"context": (name,)}, needed=("context",),
                table="events.columns",
            )  # fmt: skip
        return named

    def summary(self, sha256: str) -> LogSummary:
        """Return what went by."""
        flags = dict(sorted(self._flags.items()))
        return LogSummary(self._count, self._first_ms, self._last_ms, sha256, flags, self._examples)

    def check(self) -> None:
        """Refuse a file without one good row: that is a wrong mapping, not a stream of dead letters."""
        if not self._count:
            raise HeadwaterError(f"{self._file} has a header and no rows; expected events; check how it was made")
        if sum(self._flags.values()) == self._count:
            seen = "; ".join(f"{count} {flag}, {self._examples[flag]}" for flag, count in self._flags.items())
            raise HeadwaterError(
                f"{self._file} has not one good row of {self._count} ({seen}); expected a user, an item and a time in "
                "each; check [events.columns] and events.time_unit of the job.toml"
            )

    def warning(self) -> str:
        """Return what to tell of a file of which more than half is late, "" of another."""
        late = self._flags[LATE]
        if 2 * late <= self._count:
            return ""
        return (
            f"warning: {late:,} of the {self._count:,} rows of {self._file} are late and teach nothing: each is older "
            f"than a row before it by more than events.lateness, {self._events.lateness_ms:,} ms; the newest time, "
            f"{day(self._newest_ms)}, stands in row {self._newest_row:,}; mend or remove that row if its time is "
            "wrong; else sort the file by time, or raise events.lateness"
        )

    def _record(self, offset: int, row: Row, read_time: ReadTime, newest_ms: int) -> Record:
        if row.texts is None or (row.bad and row.bad != _VALUE):
            return self._flagged(BAD_ROW, offset, newest_ms, None, problem=row.problem)
        user, item, time, action, event_id, value, basket, session, *described = row.texts
        user, item = id_text(user), id_text(item)
        at_ms = read_time(time)
        try:
            key = user.encode() or None
            if at_ms < 0:
                return self._flagged(BAD_TIME, offset, newest_ms, key, problem=f"time {time[:40]!r}")
            if at_ms < newest_ms - self._events.lateness_ms:
                behind = f"{newest_ms - at_ms} ms behind the newest row before it"
                return self._flagged(LATE, offset, at_ms, key, problem=behind)
            if not user:
                return self._flagged(MISSING_USER, offset, at_ms, None, problem="no user")
            if not item:
                return self._flagged(MISSING_ITEM, offset, at_ms, key, problem="no item")
            number = _number(value) if value else None
            named = zip(self._events.columns.context or (), described, strict=True)
            context = {name: text for name, text in named if text} or None
            body = _ENCODE(_Body(user, item, action or None, number, basket or None, session or None, context))
        except ValueError as error:  # a lone surrogate, which JSON escapes can spell
            return self._flagged(BAD_ROW, offset, newest_ms, None, problem=str(error))
        if event_id:
            name = _ENCODE(event_id)
        else:
            name = b'"%b"' % self._ids.derive(at_ms, user, basket, body, max(newest_ms, at_ms)).encode()
        self._first_ms = min(self._first_ms, at_ms)
        self._last_ms = max(self._last_ms, at_ms)
        return Record(0, offset, at_ms, key, b'{"event_id":%b,%b' % (name, body[1:]), "")

    def _flagged(self, flag: str, offset: int, at_ms: int, key: bytes | None, *, problem: str) -> Record:
        self._flags[flag] += 1
        self._examples.setdefault(flag, f"first in row {offset + 1}: {problem}")
        return Record(0, offset, at_ms, key, None, flag)


def _number(text: str) -> int | float | None:
    """Read a value, None where it is no finite number: nothing is learned from it, so it spoils no row."""
    text = text.strip()
    try:
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= _EXACT_DIGITS else float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if abs(number) < 10**_EXACT_DIGITS and number == int(number) else number  # alike in all formats
