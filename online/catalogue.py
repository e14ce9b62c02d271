"""The items: their order, their frozen text vectors in the learner's dimension, and which of them may be shown."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.tables import Tables

Vectors = NDArray[np.float32]


class Projection(NamedTuple):
    """The frozen map from the encoder's vectors to the learner's: x -> (x - mean) @ basis."""

    mean: Vectors  # shape (D,)
    basis: Vectors  # shape (D, d)


class ItemChange(NamedTuple):
    """A change of the catalogue that holds from the tick of `at_ms` on."""

    at_ms: int
    item: str
    vector: Vectors | None  # shape (D,), None: the item is retired


def whiten(vectors: Vectors, dim: int) -> Projection:
    """Fit the projection on the initial catalogue: PCA to `dim` with half whitening, mean squared norm 1.

    It is fitted once and frozen; fitted again, every item would move. With fewer items or a smaller encoder than
    `dim` the surplus dimensions are zero.

    Args:
        vectors: of the encoder, shape (n, D), float32.
        dim: d, of the learner.

    Source: docs/quality.md (whitening power 0, .5 and 1 measured equal); WhitenRec uses power 1.
    """
    mean = vectors.sum(axis=0, dtype=np.float64) / max(1, len(vectors))
    centred = vectors.astype(np.float64) - mean
    variance, axes = np.linalg.eigh(centred.T @ centred / max(1, len(vectors)))
    order = np.argsort(variance)[::-1][:dim]
    scale = np.where(variance[order] > 1e-8, np.maximum(variance[order], 1e-8) ** -0.25, 0.0)
    basis = np.zeros((vectors.shape[1], dim))
    basis[:, : len(order)] = axes[:, order] * scale
    norm = np.sqrt(np.mean(np.sum((centred @ basis) ** 2, axis=1))) if len(vectors) else 0.0
    basis /= norm if norm > 0 else 1.0
    return Projection(mean.astype(np.float32), basis.astype(np.float32))


def vector_from_id(item: str, dim: int) -> Vectors:
    """Return a vector of norm 1 from the item's id alone, shape (dim,): for an item without a text vector."""
    seed = int.from_bytes(hashlib.sha256(item.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).normal(size=dim)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Catalogue:
    """All items known so far. An item keeps its row for ever; a retired one is closed, not removed.

    Attributes:
        items: ids by row.
        base: frozen text vectors in the learner's dimension, shape (rows, d), float32.
        open: 1 where the item may be shown, uint8.
    """

    def __init__(
        self,
        model_id: str,
        items: Sequence[str],
        base: Vectors,
        available_at_ms: NDArray[np.int64],
        projection: Projection,
    ) -> None:
        self.model_id = model_id
        self.projection = projection
        self._initial = len(items)
        self.items = list(items)
        self.row_of = {item: row for row, item in enumerate(self.items)}
        self._order: NDArray[np.int32] = np.empty(0, np.int32)
        self._names: NDArray[np.object_] = np.empty(0, object)
        self.base = base
        self.open = (available_at_ms <= 0).astype(np.uint8)
        later = np.flatnonzero(available_at_ms > 0)
        self._later = sorted(((int(available_at_ms[row]), int(row)) for row in later), reverse=True)
        self._waiting = set(later.tolist())
        self._from_id: set[int] = set()  # rows of items that an event named and no vector came for

    @classmethod
    def build(
        cls, model_id: str, items: Sequence[str], vectors: Vectors, available_at_ms: NDArray[np.int64], dim: int
    ) -> "Catalogue":
        """Make the initial catalogue; rows are in the order of item ids, so that ties break the same in every engine.

        Args:
            model_id: of the encoder that made the vectors.
            items: ids, distinct.
            vectors: of the encoder, shape (n, D), float32.
            available_at_ms: event time from which an item may be shown, 0 = from the start; shape (n,), int64.
            dim: d, of the learner.
        """
        order = sorted(range(len(items)), key=lambda row: items[row].encode())
        vectors = vectors[order]
        projection = whiten(vectors, dim)
        base = _project(vectors, projection)
        return cls(model_id, [items[row] for row in order], base, available_at_ms[order], projection)

    def __len__(self) -> int:
        return len(self.items)

    def row(self, item: str) -> int:
        """Return the item's row; an id never seen gets a new one, open, with a vector from its id."""
        row = self.row_of.get(item)
        if row is None:
            row = self._add(item, vector_from_id(item, self.base.shape[1]))
            self._from_id.add(row)
        return row

    @property
    def without_vector(self) -> int:
        """How many open items have a vector from their id alone, because none came for them."""
        return len(self._from_id)

    def rows(self, items: Sequence[str]) -> list[int]:
        """Return the rows of some items; see `row`."""
        try:
            return list(map(self.row_of.__getitem__, items))
        except KeyError:
            return [self.row(item) for item in items]

    def order(self) -> NDArray[np.int32]:
        """Return each row's place among all ids, by which ties are broken; shape (rows,)."""
        if len(self._order) != len(self.items):
            rows = sorted(range(len(self.items)), key=lambda row: self.items[row].encode())
            self._order = np.empty(len(rows), np.int32)
            self._order[rows] = np.arange(len(rows), dtype=np.int32)
        return self._order

    def names(self) -> NDArray[np.object_]:
        """Return the ids by row, to be taken many at a time; shape (rows,)."""
        if len(self._names) != len(self.items):
            self._names = np.array(self.items, object)
        return self._names

    def advance(self, tick_ms: int) -> None:
        """Open the items that become available in the tick that ends at `tick_ms`."""
        while self._later and self._later[-1][0] <= tick_ms:
            row = self._later.pop()[1]
            if row in self._waiting:
                self._waiting.remove(row)
                self.open[row] = 1

    def apply(self, change: ItemChange) -> tuple[int, Vectors] | None:
        """Apply one change; return the row and how far its base vector moved, None when no vector moved."""
        row = self.row_of.get(change.item)
        if row is not None:
            self._waiting.discard(row)  # what the change says holds, whatever the start had planned
        if change.vector is None:
            # An item not known yet is remembered as retired: an event that names it later does not bring it back.
            closed = self.row(change.item)
            self.open[closed] = 0
            self._from_id.discard(closed)
            return None
        vector = self._project(change.vector)
        if row is None:
            self._add(change.item, vector)
            return None
        self._from_id.discard(row)
        self.open[row] = 1
        moved = vector - self.base[row]
        self.base[row] = vector
        return row, moved

    def holds(self, change: ItemChange) -> bool:
        """Tell whether applying `change` would change nothing."""
        row = self.row_of.get(change.item)
        if change.vector is None:
            return row is not None and not (self.open[row] or row in self._waiting)
        return row is not None and bool(self.open[row]) and np.array_equal(self._project(change.vector), self.base[row])

    def tables(self) -> Tables:
        """Return what differs from the initial catalogue."""
        added = msgspec.msgpack.encode(self.items[self._initial :])
        return {
            "catalogue.added": np.frombuffer(added, np.uint8),
            "catalogue.base": self.base,
            "catalogue.open": self.open,
            "catalogue.waiting": np.array(sorted(self._waiting), np.int64),
        }

    def load(self, tables: Tables) -> None:
        """Take over the tables of a catalogue with the same initial items."""
        added = msgspec.msgpack.decode(tables["catalogue.added"].tobytes(), type=list[str])
        self.items = self.items[: self._initial] + added
        self.row_of = {item: row for row, item in enumerate(self.items)}
        self._order = np.empty(0, np.int32)
        self._names = np.empty(0, object)
        self.base = np.asarray(tables["catalogue.base"], np.float32)
        self.open = np.asarray(tables["catalogue.open"], np.uint8)
        self._waiting = set(np.asarray(tables["catalogue.waiting"]).tolist())
        dim = self.base.shape[1]
        self._from_id = {
            row
            for row, item in enumerate(added, self._initial)
            if self.open[row] and np.array_equal(self.base[row], vector_from_id(item, dim))
        }

    def _project(self, vector: Vectors) -> Vectors:
        projected: Vectors = _project(vector[None], self.projection)[0]
        return projected

    def _add(self, item: str, vector: Vectors) -> int:
        row = len(self.items)
        self.items.append(item)
        self.row_of[item] = row
        self.base = np.vstack([self.base, vector[None].astype(np.float32)])
        self.open = np.append(self.open, np.uint8(1))
        return row


def _project(vectors: Vectors, projection: Projection) -> Vectors:
    """Project each vector by itself: a product of many rows may round differently, and equal must stay equal."""
    out = np.empty((len(vectors), projection.basis.shape[1]), np.float32)
    for row, vector in enumerate(vectors):
        out[row] = (vector - projection.mean) @ projection.basis
    return out
