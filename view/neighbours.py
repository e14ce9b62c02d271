"""Items like an item: the nearest by the frozen encoder's vectors."""

import numpy as np
from numpy.typing import NDArray

from models.vectors import ItemVectors, decode_record
from state.errors import CorruptBytes, UnknownSchema
from view.store import VECTOR, Entries, Store


class Neighbours:
    """All vectors of one model, in memory; those that came by topic on disk too."""

    def __init__(self, store: Store) -> None:
        """Take up what is stored."""
        self._rows: dict[str, int] = {}
        self._items: list[str | None] = []  # by row; None: retired
        self._vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._changed: dict[str, bytes | None] = {}
        self.model_id = ""
        for key, value in store.scan(VECTOR):
            self._take(key.decode(), value)

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, found: ItemVectors) -> None:
        """Take over a file's vectors in place of all others."""
        self.model_id = found.model_id
        self._items = list(found.items)
        self._rows = {item: row for row, item in enumerate(found.items)}
        self._vectors = found.vectors

    def change(self, item: str, value: bytes | None) -> bool:
        """Take over a record of the vectors topic; return False where it is not usable."""
        if not self._take(item, value):
            return False
        self._changed[item] = value
        return True

    def similar(self, item: str, most: int) -> list[tuple[str, float]] | None:
        """Return (item, cosine) of the nearest others, best first; None where the item has no vector."""
        row = self._rows.get(item)
        if row is None:
            return None
        vectors, items = self._vectors, self._items
        cosine = vectors[: len(items)] @ vectors[row]
        cosine[row] = -np.inf
        most = min(most, len(cosine))
        best = np.argpartition(-cosine, most - 1)[:most] if most else np.zeros(0, np.int64)
        found = [(items[place], float(cosine[place])) for place in best[np.argsort(-cosine[best], kind="stable")]]
        return [(name, round(value, 5)) for name, value in found if name is not None and np.isfinite(value)]

    def drain(self) -> Entries:
        """Yield what has changed since the last call, to be stored."""
        for item, value in self._changed.items():
            yield VECTOR + item.encode(), value
        self._changed = {}

    def _take(self, item: str, value: bytes | None) -> bool:
        row = self._rows.get(item)
        if value is None:
            if row is not None:
                del self._rows[item]
                self._items[row] = None
                self._vectors[row] = 0
            return True
        try:
            record = decode_record(value)
        except (CorruptBytes, UnknownSchema):
            return False  # the job dead-letters it
        self.model_id = self.model_id or record.model_id
        if record.model_id != self.model_id:
            return False
        if row is None:
            row = self._rows[item] = len(self._items)
            self._items.append(item)
            if row >= len(self._vectors):  # twice the room, so that n items are copied O(n) times
                grown = np.zeros((max(1024, 2 * len(self._vectors)), len(record.vector)), np.float32)
                grown[: len(self._vectors)] = self._vectors.reshape(-1, len(record.vector))[: len(self._vectors)]
                self._vectors = grown
        self._vectors[row] = record.vector
        return True
