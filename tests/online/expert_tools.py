"""One expert at a time: made, taught and looked at."""

from typing import Any, NamedTuple, TypeVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores, event_of, leave
from online.compiled import compiled
from online.experts.base import Signal, describe_each, learn_each, nominate_each
from online.experts.fresh import FreshText
from online.experts.head import Head
from online.experts.lineup import lineup
from online.selection import FLOOR
from online.settings import Learning
from state.tables import Tables, decode_tables, encode_tables
from tests.small import LEARNING, small_batch

N = 12


def text(rows: int = N, seed: int = 5) -> Scores:
    vectors = np.random.default_rng(seed).normal(size=(rows, LEARNING.dim)) / np.sqrt(LEARNING.dim)
    return np.asarray(vectors, np.float32)


def make(name: str, base: Scores | None = None, learning: Learning = LEARNING) -> Signal:
    """Return a part of the line-up at its start."""
    parts = lineup(learning, "not_in_basket", text() if base is None else base).parts
    return next(part for part in parts if part.name == name)


def random_batches(count: int, items: int = N, seed: int = 0) -> list[Batch]:
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(count):
        histories = [rng.permutation(items)[: rng.integers(0, 6)].tolist() for _ in range(LEARNING.batch)]
        batches.append(small_batch(histories, rng.integers(0, items, LEARNING.batch).tolist(), items=items))
    return batches


class Look(NamedTuple):
    """All that a signal says of a batch, and an expert."""

    item: NDArray[np.int32]  # all that it puts forward, shape (B, N); -1 of a signal
    rank: NDArray[np.int32]  # 0 of a signal
    columns: Scores  # of every item, nan where the event may not show it; shape (columns, B, N)

    @property
    def feature(self) -> Scores:
        """Return the first column, which the order is by; shape (B, N)."""
        first: Scores = self.columns[0]
        return first

    def tobytes(self) -> bytes:
        """Return all of it, to be compared bit by bit."""
        return b"".join(part.tobytes() for part in self)


def look(part: Signal, batch: Batch, keep: int | None = None) -> Look:
    """Return what it says of every item that each event may show."""
    B, items = len(batch.target), len(batch.open)
    nominated, rank = np.full((B, 1, keep or items), -1, np.int32), np.zeros((B, 1), np.int32)
    with mock.patch.object(part, "_keep", nominated.shape[2], create=True):  # the head's, which is asked for no more
        states = states_of(part, batch)
    out = np.full((sum(len(one.columns) for one in parts_of(part)), B, items), np.nan, np.float32)
    _look(states, batch, nominated, rank, out)
    return Look(nominated[:, 0], rank[:, 0], out[len(out) - len(part.columns) :])


def states_of(part: Signal, batch: Batch) -> tuple[Any, ...]:
    """Return its state for the batch, after that of the one whose work it reads."""
    return tuple(one.prepare(batch) for one in parts_of(part))


def parts_of(part: Signal) -> list[Signal]:
    """Return it, after the one whose work it reads."""
    return [part.text, part] if isinstance(part, FreshText) else [part]


@compiled
def _look(states: Any, batch: Any, nominated: Any, rank: Any, out: Any) -> None:
    hidden = batch.open == 0
    for e in range(batch.target.shape[0]):
        event = event_of(batch, e, hidden)
        nominate_each(states, event, nominated[e], rank[e])
        item = np.flatnonzero(~hidden).astype(np.int32)
        columns = np.empty((out.shape[0], item.shape[0]), np.float32)
        describe_each(states, event, item, columns)
        for c in range(item.shape[0]):
            out[:, e, item[c]] = columns[:, c]
        leave(batch, event)


@compiled
def _learn(states: Any, batch: Any) -> None:
    hidden = batch.open == 0
    for e in range(batch.target.shape[0]):
        event = event_of(batch, e, hidden)
        learn_each(states, event)
        leave(batch, event)


Part = TypeVar("Part", bound=Signal)


def learn(part: Part, batches: list[Batch]) -> Part:
    """Learn batch after batch, as the learner does."""
    for batch in batches:
        states = states_of(part, batch)
        if isinstance(part, Head):
            part.learn(batch)
        _learn(states, batch)
    return part


def stored(expert: Signal) -> Tables:
    """Return the tables after a way through bytes."""
    return decode_tables(dict(encode_tables(expert.tables())))


def mass(feature: Scores, items: int = N) -> Scores:
    """Return the share of the mass behind the features of an expert of masses."""
    return np.asarray(np.exp(feature.astype(np.float64)) - FLOOR / items, np.float32)


def shown_by(batch: Batch, e: int) -> list[int]:
    """Return what event e may show."""
    seen = batch.seen[batch.seen_from[e] : batch.seen_from[e + 1]].tolist()
    return [j for j in range(len(batch.open)) if batch.open[j] and j not in seen]
