"""One expert at a time: made, taught and looked at."""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.experts.base import Expert, Signal
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


def make_expert(name: str, base: Scores | None = None, learning: Learning = LEARNING) -> Expert:
    """The same for one that nominates."""
    experts = lineup(learning, "not_in_basket", text() if base is None else base).experts
    return next(expert for expert in experts if expert.name == name)


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
    nominated, rank = np.full((B, keep or items), -1, np.int32), np.zeros(B, np.int32)
    if hasattr(part, "nominate"):
        nominated[:], rank[:] = -7, -7
        part.nominate(batch, nominated, rank)
    shown = [shown_by(batch, e) for e in range(B)]
    n = np.array([len(one) for one in shown], np.int32)
    item = np.zeros((B, max(1, n.max())), np.int32)
    for e, one in enumerate(shown):
        item[e, : len(one)] = one
    out = np.full((len(part.columns), *item.shape), np.nan, np.float32)
    part.features(batch, item, n, out)
    columns = np.full((len(out), B, items), np.nan, np.float32)
    for e, one in enumerate(shown):
        columns[:, e, one] = out[:, e, : len(one)]
    return Look(nominated, rank, columns)


Part = TypeVar("Part", bound=Signal)


def learn(part: Part, batches: list[Batch]) -> Part:
    """Look, then learn, batch after batch, as the learner does."""
    for batch in batches:
        look(part, batch, keep=3)
        part.learn(batch)
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
