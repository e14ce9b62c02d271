"""A small world for the core's tests: a dozen items, small settings, records and batches in short notation."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.catalogue import Catalogue
from online.context import MOST
from online.learner import After, Final, Learner, TickMetrics, UserList
from online.loop import run_loop
from online.record import Record
from online.session import DeadLetter
from online.settings import Candidates, Learning, Settings
from state.tables import Tables

TICK_MS = 60_000
LATENESS_MS = 90_000  # more than a tick, so that a shuffle moves records across ticks
START_MS = 1_600_000_020_000  # the first millisecond of a tick
ITEMS = tuple(f"i{number:02d}" for number in range(12))
LEARNING = Learning(history=5, short_window=3, batch=4, keep=5, dim=6, hidden=4)  # every limit binds


def small_settings(candidates: Candidates = "unseen", learning: Learning = LEARNING, domain: str = "") -> Settings:
    """Return settings of the loop with short ticks and lists."""
    return Settings(
        domain=domain,
        candidates=candidates,
        top_k=5,
        tick_ms=TICK_MS,
        lateness_ms=LATENESS_MS,
        max_bytes=10_000,
        shards=3,
        learning=learning,
    )


def encoded(items: Sequence[str], seed: int = 0) -> Scores:
    """Return random vectors as an encoder with 8 dimensions would make them."""
    return np.random.default_rng(seed).normal(size=(len(items), 8)).astype(np.float32)


def small_catalogue(items: Sequence[str] = ITEMS, available_at_ms: Mapping[str, int] | None = None) -> Catalogue:
    """Return the initial catalogue."""
    times = np.array([(available_at_ms or {}).get(item, 0) for item in items], np.int64)
    return Catalogue.build("random-8", items, encoded(items), times, LEARNING.dim)


def small_learner(settings: Settings | None = None, catalogue: Catalogue | None = None) -> Learner:
    """Return a learner at its start."""
    return Learner(settings or small_settings(), catalogue or small_catalogue())


def record(offset: int, at_ms: int, user: str, item: str, partition: int = 0, **fields: object) -> Record:
    """Return a good record; `fields` are further fields of the event, as event_id or basket."""
    value = json.dumps({"user": user, "item": item, **fields}).encode()
    return Record(partition, offset, at_ms, user.encode(), value, "")


class Run(NamedTuple):
    """All that a loop over a bounded log led to."""

    lists: list[UserList]
    dead: list[DeadLetter]
    metrics: list[TickMetrics]
    final: Final


def run(records: Iterable[Record], settings: Settings | None = None, learner: Learner | None = None) -> Run:
    """Run the loop over the log."""
    settings = settings or small_settings()
    results = list(run_loop(records, learner or small_learner(settings), settings))
    final = results[-1].final
    assert final is not None
    return Run(
        [made for result in results for made in result.lists],
        [letter for result in results for letter in result.dead],
        [result.metrics for result in results if result.metrics is not None],
        final,
    )


def without_positions(lists: Iterable[UserList]) -> list[UserList]:
    """Return the lists without partition and offset of their last event, which another arrival order changes."""
    return [msgspec.structs.replace(made, after=After(0, 0, made.after.event_id)) for made in lists]


def small_batch(
    histories: Sequence[Sequence[int]],
    targets: Sequence[int],
    seen: Sequence[Sequence[int]] | None = None,
    items: int = len(ITEMS),
    closed: Sequence[int] = (),
) -> Batch:
    """Return a batch over `items` rows; histories newest first, `seen` defaults to each history.

    The user's own past is the whole history, two items to a basket; the event is in the basket of the newest.
    """
    window = LEARNING.history
    seen = seen if seen is not None else [sorted(set(history)) for history in histories]
    rows = np.full((len(targets), window), -1, np.int32)
    for row, history in zip(rows, histories, strict=True):
        row[: len(history)] = history[:window]
    lengths = np.array([len(history) for history in histories], np.int32)
    numbers = [np.arange(length, dtype=np.int32) // 2 for length in lengths]
    own_to = np.cumsum(lengths).astype(np.int32)
    return Batch(
        history=rows,
        seen=np.array([item for one in seen for item in one], np.int32),
        seen_from=np.cumsum([0, *map(len, seen)]).astype(np.int32),
        target=np.array(targets, np.int32),
        scored=np.array([t >= 0 and t not in one for t, one in zip(targets, seen, strict=True)], np.bool_),
        past=lengths,
        open=np.array([row not in closed for row in range(items)], np.uint8),
        own=np.array([item for history in histories for item in reversed(history)], np.int32),
        own_basket=np.concatenate([*numbers, np.zeros(0, np.int32)]),
        own_from=own_to - lengths,
        own_to=own_to,
        basket=np.array([number[-1] if len(number) else -1 for number in numbers], np.int32),
        position=(lengths > 0) * (2 - lengths % 2),
        gap_ms=np.full(len(lengths), -1, np.int64),
        context=np.full((len(lengths), MOST), -1, np.int64),
    )


def copy_of(tables: Tables) -> dict[str, NDArray[Any]]:
    """Return tables that later learning does not change."""
    return {name: table.copy() for name, table in tables.items()}
