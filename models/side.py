"""The side process: items topic -> vectors topic, at least once, restartable at any time."""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TextIO

from models.cache import VectorCache
from models.embed import BadVectorError, embed
from models.encoder import Encoder
from models.items import Item, Retired, Unreadable, read_record
from models.side_kafka import Arrived, ItemsIn, Leaving, RecordsOut, require_topics
from models.vectors import VectorRecord, encode_record, text_sha256

HEALTH_S = 10.0
BATCH = 256  # records; about 0.6 s of embedding on two cores
DELIVERY_WAIT_S = 0.5  # between two looks at the clock while deliveries are outstanding
STOP_GRACE_S = 5.0  # for what is on its way when asked to stop; what is left is read again after a restart


@dataclass(frozen=True)
class Route:
    """Where items come from and vectors go to."""

    bootstrap: str
    items_topic: str
    vectors_topic: str
    group: str = "headwater-encode"  # its committed offsets say what is done
    batch: int = BATCH  # records at most between two commits
    properties: Mapping[str, Any] = field(default_factory=dict)  # further settings of librdkafka, such as security


class DeadLetters(NamedTuple):
    """Where item records go that lead to no vector."""

    topic: str
    message: Callable[[Arrived, str], tuple[bytes, bytes]]  # of a record and its reason code: key and value


@dataclass
class Counts:
    """What happened since the start. A record that is read again after a crash is counted again."""

    items: int = 0
    embedded: int = 0
    cached: int = 0
    without_text: int = 0
    retired: int = 0
    bad: int = 0  # records that led to no vector
    lag: int | None = None  # records on the items topic that are not committed; None: not known
    last_error: str = ""


def run(
    route: Route,
    encoder: Encoder,
    cache: VectorCache | None,
    stop: threading.Event,
    *,
    dead_letters: DeadLetters | None = None,
    log: TextIO | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Counts:
    """Turn items into vectors until `stop` is set.

    A batch of items is read, embedded and produced; when the broker has confirmed every vector and dead letter, the
    items' offsets are committed. Killed at any point, it does the batch again: a vector is keyed by its item, a dead
    letter by its record's place, so that is harmless.

    Args:
        route: broker, topics and consumer group.
        encoder: the model.
        cache: of the model's vectors, for what is read again.
        stop: may be set by a signal handler.
        dead_letters: where records go that cannot be read; None: they are only told in the log.
        log: where the health line goes every 10 s; None: stderr.
        now_ms: wall clock for the time of a vector.

    Raises:
        HeadwaterError: at the start the broker does not answer, or a topic is missing.
    """
    topics = [route.items_topic, route.vectors_topic, *([dead_letters.topic] if dead_letters else [])]
    require_topics(route.bootstrap, topics, route.properties)
    side = _Side(route, encoder, cache, stop, dead_letters, log or sys.stderr, now_ms)
    side.say(f"ready: {encoder.model_id}, {encoder.dim} dimensions, {route.items_topic} -> {route.vectors_topic}")
    if dead_letters is None:
        side.say(
            "no topic of dead letters is named: a record that cannot be read is told here and then gone; "
            "name one with --dead-letters, or in job.toml"
        )
    side.loop()
    return side.counts


class _Side:
    """The loop and its counts."""

    def __init__(
        self,
        route: Route,
        encoder: Encoder,
        cache: VectorCache | None,
        stop: threading.Event,
        dead_letters: DeadLetters | None,
        log: TextIO,
        now_ms: Callable[[], int],
    ) -> None:
        self.counts = Counts()
        self._encoder = encoder
        self._cache = cache
        self._stop = stop
        self._dead_letters = dead_letters
        self._log = log
        self._now_ms = now_ms
        self._route = route
        self._in = ItemsIn(route.bootstrap, route.items_topic, route.group, route.properties)
        self._out = RecordsOut(route.bootstrap, route.properties)
        self._next_health_s = time.monotonic() + HEALTH_S

    def say(self, text: str) -> None:
        """Write one line."""
        print(f"headwater encode: {text}", file=self._log, flush=True)

    def loop(self) -> None:
        try:
            while not self._stop.is_set():
                self._health()
                if batch := self._in.read(self._route.batch):
                    self._turn(batch)
        finally:
            self._look()
            self._in.close()
            self._out.close()

    def _turn(self, batch: list[Arrived]) -> None:
        """Embed a batch, produce it, and commit once everything is confirmed."""
        records = self._records(batch)
        while not self._produce(records):
            if self._stop.is_set():  # nothing is committed, so all of it is read again
                return
        self._in.commit(batch)

    def _records(self, batch: list[Arrived]) -> list[Leaving]:
        """Return what a batch leads to, in the order of the items topic: vectors, and dead letters for the rest."""
        read = [(arrived, read_record(arrived.key, arrived.value)) for arrived in batch]
        items = [found for _, found in read if isinstance(found, Item)]
        vectors, refused = self._embed(items)
        records: list[Leaving] = []
        for arrived, found in read:
            if isinstance(found, Unreadable):
                records += self._bad(arrived, found)
            elif isinstance(found, Retired):
                self.counts.retired += 1
                records.append(Leaving(self._route.vectors_topic, found.item.encode(), None))
            elif found in refused:
                records += self._bad(arrived, Unreadable("bad_vector", refused[found]))
            else:
                records.append(Leaving(self._route.vectors_topic, found.item.encode(), vectors[found]))
        return records

    def _embed(self, items: list[Item]) -> tuple[dict[Item, bytes], dict[Item, str]]:
        """Return the items' record values, and for those that the model cannot embed the reason."""
        refused: dict[Item, str] = {}
        while items:
            try:
                vectors, tally = embed(items, self._encoder, self._cache)
            except BadVectorError as error:
                text = next(item.text for item in items if item.item == error.item)
                refused |= {item: str(error) for item in items if item.text == text}
                items = [item for item in items if item.text != text]
                continue
            self.counts.items += tally.items
            self.counts.embedded += tally.embedded
            self.counts.cached += tally.cached
            self.counts.without_text += tally.without_text
            model_id = self._encoder.model_id
            return {
                item: encode_record(VectorRecord(model_id, text_sha256(item.text), item.available_at_ms, vector))
                for item, vector in zip(items, vectors, strict=True)
            }, refused
        return {}, refused

    def _produce(self, records: list[Leaving]) -> bool:
        """Send the records and wait until each is confirmed; False: some were refused, or we were asked to stop."""
        made_ms = self._now_ms()
        give_up_s = None
        for start in range(0, len(records), BATCH):
            self._out.send(records[start : start + BATCH], made_ms)
            while self._out.outstanding(DELIVERY_WAIT_S):
                self._health()
                if self._stop.is_set():
                    give_up_s = give_up_s or time.monotonic() + STOP_GRACE_S
                    if time.monotonic() > give_up_s:
                        return False
            if self._out.refused():
                self._stop.wait(1.0)  # before the next try
                return False
        return True

    def _bad(self, arrived: Arrived, found: Unreadable) -> list[Leaving]:
        """Count and tell a record that leads to no vector; return its dead letter, if it has a place to go."""
        self.counts.bad += 1
        where = f"{arrived.topic} partition {arrived.partition} offset {arrived.offset}"
        done = f"sent to {self._dead_letters.topic}" if self._dead_letters else "skipped"
        self.say(f"{done} an unreadable item record: {where}: {found.reason}: {found.problem}")
        if self._dead_letters is None:
            return []
        return [Leaving(self._dead_letters.topic, *self._dead_letters.message(arrived, found.reason))]

    def _health(self) -> None:
        if time.monotonic() < self._next_health_s:
            return
        self._look()
        broker = "the broker answers" if self._in.broker_answers else "NO BROKER, trying again"
        counts = self.counts
        self.say(
            f"{broker}; {counts.items} items ({counts.embedded} embedded, {counts.cached} from cache, "
            f"{counts.without_text} without text), {counts.retired} retired, {counts.bad} bad, "
            f"{'unknown' if counts.lag is None else counts.lag} waiting"
            + (f"; last error: {counts.last_error}" if counts.last_error else "")
        )
        self._next_health_s = time.monotonic() + HEALTH_S

    def _look(self) -> None:
        """Refresh what is known about the broker."""
        self._in.look()
        self.counts.lag = self._in.lag
        self.counts.last_error = self._in.last_error or self._out.last_error or self.counts.last_error


def summary(counts: Counts) -> str:
    """Return the one JSON line that ends a run."""
    return json.dumps(asdict(counts), separators=(",", ":"))
