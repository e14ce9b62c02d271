"""Canonical logs for tests: an events file in, its summary and its records out."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.config import Events, config_from_flags
from jobs.logs import LogSummary, read_canonical, write_canonical
from online.event import Event, decode_event
from online.record import Record


def events_of(file: Path, **changes: Any) -> Events:
    events = config_from_flags(file, "items.csv").events
    return replace(events, **changes)


def read(file: Path, *, limit: int | None = None, **changes: Any) -> tuple[LogSummary, list[Record]]:
    out = file.parent / "canonical.log"
    summary = write_canonical(events_of(file, **changes), out, limit=limit)
    assert summary.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert not list(file.parent.glob("*.partial"))
    return summary, list(read_canonical(out))


def read_csv(folder: Path, raw: str | bytes, **changes: Any) -> tuple[LogSummary, list[Record]]:
    file = folder / "log.csv"
    file.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return read(file, **changes)


def event(record: Record) -> Event:
    decoded = decode_event(record.key, record.value, domain="", max_bytes=1 << 20)
    assert isinstance(decoded, Event)
    return decoded
