"""Outputs of a made-up job, in short notation, and a view over them."""

import json
from pathlib import Path

from view.arrivals import Arrived, Batch
from view.store import Store
from view.view import Job, View

JOB = Job("test", half_life=100.0, top_k=5)


def open_view(folder: Path, started_ms: int = 0) -> tuple[View, Store]:
    """Return a view over the store in `folder`, and the store, which is to be closed."""
    store = Store(folder, "test")
    return View(store, JOB, started_ms), store


def list_line(user: str, at: int, items: str) -> bytes:
    """Return a list's line; `items` are separated by spaces."""
    names = items.split()
    after = {"partition": 0, "offset": at, "event_id": f"e{at}"}
    scores = [float(-place) for place in range(len(names))]
    line = {"user": user, "at": at, "head": at, "model_id": "m", "after": after, "items": names, "scores": scores}
    return json.dumps(line).encode()


def metrics_line(tick: int, events: str, ranks: str = "") -> bytes:
    """Return a tick's line; an event is USER:ITEM, and has the next rank."""
    pairs = [event.split(":") for event in events.split()]
    ours = [int(rank) for rank in ranks.split()] or [1] * len(pairs)
    line = {
        "tick": tick,
        "accepted": len(pairs),
        "duplicates": 0,
        "items": 20,
        "user": [user for user, _ in pairs],
        "item": [item for _, item in pairs],
        "left_ms": [10] * len(pairs),
        "actions": {"click": list(range(len(pairs)))},
        "ranks": {"headwater": ours, "popularity_500": [30] * len(pairs)},
    }
    return json.dumps(line).encode()


def listed(value: bytes | None, key: str = "", at_ms: int = 0) -> Arrived:
    """Return the arrival of a list."""
    return Arrived("lists", key.encode(), value, at_ms)


def measured(value: bytes, at_ms: int = 0) -> Arrived:
    """Return the arrival of a metrics line."""
    return Arrived("metrics", b"", value, at_ms)


def batch(*records: Arrived, position: int = 1) -> Batch:
    """Return a batch behind which the position is `position`."""
    return Batch(list(records), {"lists/0": position})
