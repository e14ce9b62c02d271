"""The view: folds what arrives into users, items, curves and meters; stores it together with how far it has read."""

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from models.items import Item, Retired, read_record
from models.vectors import ItemVectors
from state.errors import HeadwaterError
from view.arrivals import Arrived, Batch, Lag
from view.curves import Curves
from view.lines import MetricsLine, read_list, read_metrics, read_reason
from view.neighbours import Neighbours
from view.people import People, Seen
from view.pulse import Pulse
from view.shelf import Shelf
from view.store import TOTALS, Store

OWN = "headwater"


class Totals(msgspec.Struct, gc=False):
    """Counts of the whole run."""

    accepted: int = 0
    duplicates: int = 0
    lists: int = 0
    withdrawn: int = 0
    dead_letters: dict[str, int] = {}  # by reason
    head: int = 0  # event time of the newest learning step
    tick: int = 0
    model_id: str = ""
    catalogue: int = 0  # items that the job knows
    finished: bool = False


class Job(NamedTuple):
    """What the view is told of the job."""

    name: str
    half_life: float  # of popularity, in events
    top_k: int


class View:
    """All that is served. One thread folds; others may read at any time."""

    def __init__(self, store: Store, job: Job, started_ms: int) -> None:
        """Take up what is stored; what was written before `started_ms` says nothing about how fresh lists are now."""
        self.job = job
        self._store = store
        self._started_ms = started_ms
        self._lock = threading.Lock()  # of curves and meters, which are read as a whole
        self.pulse = Pulse()
        self._fallback: tuple[int, list[str]] = (-1, [])
        self.version = 0  # of what is stored; grows with each batch that holds records
        self._take_up()

    def _take_up(self) -> None:
        self.people, self.shelf = People(self._store), Shelf(self._store, self.job.half_life)
        self.curves, self.neighbours = Curves(self._store), Neighbours(self._store)
        self.totals = msgspec.msgpack.decode(self._store.get(TOTALS) or b"\x80", type=Totals)
        self._positions = self._store.positions()

    @property
    def positions(self) -> dict[str, int]:
        """How far each part of the outputs has been read."""
        return dict(self._positions)

    def forget(self) -> None:
        """Start anew: what was read is no longer there, so the source has begun another run."""
        with self._lock:
            self._store.clear()
            self._take_up()

    def fold(self, batch: Batch, now_ms: int) -> None:
        """Fold a batch in, and store it with its positions."""
        with self._lock:
            for arrived in batch.records:
                self._fold(arrived, now_ms)
            if not batch.positions:
                return
            self._positions |= batch.positions
            parts = (self.people, self.shelf, self.curves, self.neighbours)
            entries = [entry for part in parts for entry in part.drain()]
            self._store.write([*entries, (TOTALS, msgspec.msgpack.encode(self.totals))], self._positions)
            self.version += bool(batch.records)

    def name_items(self, items: Iterable[Item]) -> None:
        """Take over the texts of a file's items."""
        with self._lock:
            for item in items:
                self.shelf.name(item)
            self._store.write(self.shelf.drain(), self._positions)
            self.version += 1

    def load_vectors(self, vectors: ItemVectors) -> None:
        """Take over a file's vectors."""
        self.neighbours.load(vectors)
        self.totals.catalogue = max(self.totals.catalogue, len(vectors.items))
        self.version += 1

    def note(self, lag: Lag, now_ms: int) -> None:
        """Note how far readers lag."""
        with self._lock:
            self.pulse.lag(lag, now_ms)

    def fallback(self) -> list[str]:
        """Return what is shown to a user without a list: what is popular now. Sorted once for each version."""
        version, found = self._fallback
        if version != self.version:
            version = self.version
            found = self.shelf.fallback(self.job.top_k, self.totals.tick)
            self._fallback = (version, found)
        return found

    def covered(self) -> float:
        """Return the share of the catalogue that stands in at least one newest list."""
        return self.shelf.listed / max(self.totals.catalogue, self.shelf.listed, 1)

    def shown(self, now_ms: int) -> dict[str, Any]:
        """Return the state of the run: totals, quality by model, meters of the last minutes."""
        with self._lock:
            totals = msgspec.to_builtins(self.totals)
            return {
                "name": self.job.name,
                "version": self.version,
                "now_ms": now_ms,
                **totals,
                "dead_letters": dict(sorted(totals["dead_letters"].items(), key=lambda pair: (-pair[1], pair[0]))),
                "coverage": round(self.covered(), 4),
                "listed": self.shelf.listed,
                "quality": self.curves.shown(),
                "pulse": self.pulse.shown(now_ms),
            }

    def _fold(self, arrived: Arrived, now_ms: int) -> None:
        match arrived.stream:
            case "lists":
                self._list(arrived, now_ms)
            case "metrics" if arrived.value is not None:
                self._metrics(read_metrics(arrived.value), arrived.at_ms, now_ms)
            case "dead_letters" if arrived.value is not None:
                reason = read_reason(arrived.value)
                self.totals.dead_letters[reason] = self.totals.dead_letters.get(reason, 0) + 1
            case "items":
                self._item(arrived)
            case "vectors":
                self._vector(arrived)

    def _list(self, arrived: Arrived, now_ms: int) -> None:
        if arrived.value is None:
            self.shelf.relist(self.people.erase(_text(arrived.key), arrived.at_ms), [])
            self.totals.withdrawn += 1
            return
        line = read_list(arrived.value)
        self.shelf.relist(*self.people.refresh(line, arrived.at_ms))
        self.curves.cover(line.at, self.covered())
        self.totals.lists += 1
        self.totals.head, self.totals.model_id = max(self.totals.head, line.head), line.model_id
        if arrived.at_ms >= self._started_ms:
            self.pulse.lists(1, now_ms)

    def _metrics(self, line: MetricsLine, came_ms: int, now_ms: int) -> None:
        if line.final:
            self.totals.finished = True
            return
        at_ms = [line.tick - left for left in line.left_ms]
        actions = {place: name for name, places in line.actions.items() for place in places}
        ranks = line.ranks.get(OWN, [])
        for place, (user, item) in enumerate(zip(line.user, line.item, strict=True)):
            rank = ranks[place] if place < len(ranks) else 0
            self.people.see(user, Seen(at_ms[place], item, actions.get(place, ""), rank), came_ms)
        self.shelf.count(line.item, self.totals.accepted)
        self.totals.accepted += line.accepted
        self.totals.duplicates += line.duplicates
        self.totals.tick = max(self.totals.tick, line.tick)
        self.totals.catalogue = line.items
        self.totals.finished = False
        self.curves.add(line, self.covered())
        if came_ms >= self._started_ms:
            self.pulse.events(line.accepted, now_ms)
            self.pulse.ages(at_ms, now_ms)

    def _item(self, arrived: Arrived) -> None:
        found = read_record(arrived.key, arrived.value)
        if isinstance(found, Item):
            self.shelf.name(found)
        elif isinstance(found, Retired):
            self.shelf.close(found.item)

    def _vector(self, arrived: Arrived) -> None:
        item = _text(arrived.key)
        if item and self.neighbours.change(item, arrived.value):
            self.shelf.close(item) if arrived.value is None else self.shelf.open(item)


def _text(key: bytes | None) -> str:
    try:
        return (key or b"").decode()
    except UnicodeDecodeError:
        raise HeadwaterError(f"a record has the key {key!r}; expected UTF-8; is this the topic of this job?") from None
