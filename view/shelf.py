"""Items: what a person calls them, how popular each is now, in how many newest lists it stands; and the fallback."""

import math
from collections.abc import Iterable

import msgspec

from models.items import Item
from view.store import ITEM, Entries, Store


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What is kept of an item."""

    title: str = ""
    about: str = ""  # its other texts
    weight: float = -math.inf  # log2 of its decayed events, on a scale that grows with the run; -inf: none
    lists: int = 0  # newest lists that hold it
    closed: bool = False
    available_at_ms: int = 0


_ENCODER = msgspec.msgpack.Encoder()
_ENTRY = msgspec.msgpack.Decoder(Entry)


class Shelf:
    """All items, in memory and on disk.

    The weight of an item's n-th event of the run is 2 ** (n / half_life), so that weights need not decay: they grow.

    Attributes:
        listed: items that stand in at least one newest list.
    """

    def __init__(self, store: Store, half_life: float) -> None:
        """Take up what is stored; `half_life` of popularity, in events of the run."""
        self._half_life = half_life
        self._entries = {key.decode(): _ENTRY.decode(value) for key, value in store.scan(ITEM)}
        self._changed: set[str] = set()
        self.listed = sum(entry.lists > 0 for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, item: str) -> Entry:
        """Return what is known of an item; of one never heard of, nothing."""
        return self._entries.get(item) or Entry()

    def name(self, item: Item) -> None:
        """Take over an item's texts."""
        entry = self._touch(item.item)
        entry.title, entry.available_at_ms, entry.closed = item.title, item.available_at_ms, False
        entry.about = item.text[len(item.title) :].removeprefix(". ")

    def close(self, item: str) -> None:
        """Show an item no more where we choose: in fallbacks."""
        self._touch(item).closed = True

    def open(self, item: str) -> None:
        """Show an item again."""
        if self.get(item).closed:
            self._touch(item).closed = False

    def count(self, items: Iterable[str], first: int) -> None:
        """Count events on `items`, the first of which is the run's event number `first`."""
        for number, item in enumerate(items, first):
            entry = self._touch(item)
            step = number / self._half_life
            high, low = max(entry.weight, step), min(entry.weight, step)
            entry.weight = high + math.log2(1 + 2 ** max(low - high, -1000.0))

    def relist(self, old: Iterable[str], new: Iterable[str]) -> None:
        """Replace a user's newest list by another."""
        gone, come = set(old), set(new)
        for item in gone - come:
            entry = self._touch(item)
            entry.lists -= 1
            self.listed -= entry.lists == 0
        for item in come - gone:
            entry = self._touch(item)
            entry.lists += 1
            self.listed += entry.lists == 1

    def fallback(self, most: int, at_ms: int) -> list[str]:
        """Return the items that are popular now and may be shown at event time `at_ms`, best first."""
        shown = [
            (-entry.weight, item)
            for item, entry in list(self._entries.items())
            if not entry.closed and entry.available_at_ms <= at_ms
        ]
        return [item for _, item in sorted(shown)[:most]]

    def drain(self) -> Entries:
        """Yield what has changed since the last call, to be stored."""
        for item in self._changed:
            yield ITEM + item.encode(), _ENCODER.encode(self._entries[item])
        self._changed = set()

    def _touch(self, item: str) -> Entry:
        self._changed.add(item)
        return self._entries.setdefault(item, Entry())
