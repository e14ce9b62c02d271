"""The learner's life between restarts: keeps its inputs, folds its tables, and after a restore is where it was.

A full softmax moves every row of the head, so writing the changed rows tick by tick would write the whole head each
time. Learning is deterministic: it is enough to keep the inputs, to write the tables every FOLD_EVENTS events, and
after a restore to learn the inputs since then once more, silently.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
import numpy as np

from online.catalogue import ItemChange
from online.learner import Final, Learner, TickResult
from state.codec import Kind, frame, unframe
from state.errors import CorruptBytes, HeadwaterError
from state.standing import Standing, decode_standing, encode_standing
from state.tables import Tables, decode_tables, encode_tables
from state.tick import Share, decode_share

FOLD_EVENTS = 8192  # events between two folds: bounds what a restore learns again, a few seconds
_STANDING = "standing"
_NAMES = "tables"  # a table of the names of all others
_CHANGE_VERSION = 1


class Store(Protocol):
    """Keyed bytes that survive a restart: Flink's map state, or a dict in tests."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes) -> None: ...
    def remove(self, key: str) -> None: ...
    def items(self) -> Iterator[tuple[str, bytes]]: ...


class _Change(msgspec.Struct, frozen=True, array_like=True):
    item: str
    at_ms: int
    vector: bytes | None  # float32, little-endian
    applied_ms: int  # the tick from which it holds; 0 while it waits


_CHANGES = msgspec.msgpack.Decoder(_Change)


class LearnerProcess:
    """One domain's learner over two stores.

    Args:
        make: makes a learner at its start; called once per life.
        identity: of the settings and the initial catalogue, see `online.learner.identity`.
        inputs: shares and changes since the last fold, and those that wait for their tick.
        blocks: the tables as of the last fold, and the standing.
    """

    def __init__(self, make: Callable[[], Learner], identity: str, inputs: Store, blocks: Store) -> None:
        self._identity = identity
        self._inputs = inputs
        self._blocks = blocks
        self._learner = make()
        self._waiting: dict[int, dict[str, Share]] = {}  # tick -> shares, by key
        self._changes: dict[str, _Change] = {}  # those that wait, by key
        self._changing: set[str] = set()  # their items
        self._since_fold: list[str] = []  # keys of inputs learned since the last fold
        self._events_since_fold = 0
        self._sums: dict[str, int] = {}  # block -> CRC of what is stored
        self._standing = Standing(identity, 0, 0)
        self._restore()

    def on_share(self, raw: bytes) -> int:
        """Keep a shard's share of a tick; return the event time at which to call `on_tick`."""
        share = decode_share(raw)
        key = f"s{share.tick_ms:016d}/{share.shard:05d}"
        self._inputs.put(key, raw)
        self._waiting.setdefault(share.tick_ms, {})[key] = share
        return share.tick_ms

    def on_change(self, change: ItemChange) -> None:
        """Keep a change of the catalogue until the first tick that is not over at its time."""
        is_due = change.at_ms <= self._standing.done_ms  # else an event or a change before its tick may matter to it
        if is_due and change.item not in self._changing and self._learner.holds(change):
            return  # a compacted topic read from its start repeats the initial catalogue
        vector = None if change.vector is None else np.asarray(change.vector, "<f4").tobytes()
        key = f"c{change.at_ms:016d}/{change.item}"
        self._changes[key] = _Change(change.item, change.at_ms, vector, 0)
        self._changing.add(change.item)
        self._inputs.put(key, _encode_change(self._changes[key]))

    def on_tick(self, tick_ms: int) -> TickResult | None:
        """Learn a tick whose shares are all here; None when there is nothing to learn (a timer that came twice)."""
        shares = self._waiting.pop(tick_ms, None)
        if shares is None:
            return None
        for key in sorted(key for key, change in self._changes.items() if change.at_ms <= tick_ms):
            change = msgspec.structs.replace(self._changes.pop(key), applied_ms=tick_ms)
            self._inputs.remove(key)
            if self._learner.holds(_item_change(change)):
                continue
            applied = f"a{tick_ms:016d}/{key}"  # another key: a change of the same item and time may come once more
            self._inputs.put(applied, _encode_change(change))
            self._since_fold.append(applied)
            self._learner.change(_item_change(change))
        self._changing = {change.item for change in self._changes.values()}
        result = self._learn(tick_ms, shares)
        self._standing = Standing(self._identity, tick_ms, self._standing.folded_ms)
        if self._events_since_fold >= FOLD_EVENTS:
            self._fold()
        self._blocks.put(_STANDING, encode_standing(self._standing))
        return result

    def on_end(self) -> Final:
        """Return the totals of a bounded run."""
        return self._learner.final()

    def _learn(self, tick_ms: int, shares: dict[str, Share]) -> TickResult:
        result = self._learner.step(tick_ms, shares.values())
        self._since_fold += shares
        self._events_since_fold += result.metrics.accepted
        return result

    def _fold(self) -> None:
        """Write the blocks that changed, and forget the inputs that they now contain."""
        for key, raw in encode_tables(_with_names(self._learner.tables())):
            checksum = zlib.crc32(raw)
            if self._sums.get(key) != checksum:
                self._blocks.put(key, raw)
                self._sums[key] = checksum
        for key in self._since_fold:
            self._inputs.remove(key)
        self._since_fold = []
        self._events_since_fold = 0
        self._standing = Standing(self._identity, self._standing.done_ms, self._standing.done_ms)

    def _restore(self) -> None:
        """Take up where the stores stand; with empty stores, start."""
        raw = self._blocks.get(_STANDING)
        if raw is not None:
            self._standing = decode_standing(raw)
            self._check_identity()
            if self._standing.folded_ms:
                blocks = {key: block for key, block in self._blocks.items() if key != _STANDING}
                self._learner.load(_without_names(decode_tables(blocks)))
                self._sums = {key: zlib.crc32(block) for key, block in blocks.items()}
        learned: dict[int, dict[str, Share]] = {}
        applied: dict[int, list[tuple[str, _Change]]] = {}
        for key, value in sorted(self._inputs.items()):
            if key.startswith(("a", "c")):
                change = _CHANGES.decode(unframe(value, Kind.CHANGE, _CHANGE_VERSION))
                if key.startswith("a"):
                    applied.setdefault(change.applied_ms, []).append((key, change))
                else:
                    self._changes[key] = change
                    self._changing.add(change.item)
            else:
                tick_ms = int(key[1:17])
                ticks = learned if raw is not None and tick_ms <= self._standing.done_ms else self._waiting
                ticks.setdefault(tick_ms, {})[key] = decode_share(value)
        for tick_ms in sorted(learned):
            for key, change in applied.get(tick_ms, []):
                self._learner.change(_item_change(change))
                self._since_fold.append(key)
            self._learn(tick_ms, learned[tick_ms])

    def _check_identity(self) -> None:
        if self._standing.identity != self._identity:
            raise HeadwaterError(
                f"the restored state was learned under identity {self._standing.identity[:12]}; this job has "
                f"{self._identity[:12]}: settings, items, vectors or the model differ; restore with the configuration "
                "and vectors that the state was made with, or start without the state"
            )


def _with_names(tables: Tables) -> Tables:
    """Add the names of all tables as one more table, so that a restore misses a lost one."""
    return {**tables, _NAMES: np.frombuffer("\n".join(sorted(tables)).encode(), np.uint8)}


def _without_names(tables: Tables) -> Tables:
    expected = bytes(tables.pop(_NAMES, np.empty(0, np.uint8)))
    found = "\n".join(sorted(tables)).encode()
    if found != expected:
        lost = sorted({*expected.decode().split("\n")} ^ {*tables})
        raise CorruptBytes(
            f"the stored tables are not those that were written: {', '.join(lost[:3])} lost or left over of "
            f"{len(tables)}; expected the tables of one fold; restore an earlier savepoint"
        )
    return tables


def _encode_change(change: _Change) -> bytes:
    return frame(Kind.CHANGE, _CHANGE_VERSION, msgspec.msgpack.encode(change))


def _item_change(change: _Change) -> ItemChange:
    vector = None if change.vector is None else np.frombuffer(change.vector, "<f4")
    return ItemChange(change.at_ms, change.item, vector)
