"""The side process's two ends in Kafka: bounded queues, librdkafka's chatter caught, offsets committed by hand."""

import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from state.errors import HeadwaterError

START_S = 8.0  # for the broker's first answer
READ_S = 0.1  # what a lone item waits for company
READ_RECORDS = 32  # at a time, so that a batch ends soon after its bytes are full
BATCH_BYTES = 8 << 20
MESSAGE_BYTES = 24 << 20  # a dead letter holds a whole record as base64; the topic's own limit decides
CLOSE_S = 5.0  # for leaving the group; a broker that is gone would hold us for a minute
_LOOK_S = 1.0

_SILENT = logging.Logger("librdkafka")  # ours alone: librdkafka would else print a line every 50 ms without a broker
_SILENT.addHandler(logging.NullHandler())


class Arrived(NamedTuple):
    """One record of the items topic."""

    topic: str
    partition: int
    offset: int
    at_ms: int  # the record's time, Unix ms; -1 where it has none
    key: bytes | None
    value: bytes | None


class Leaving(NamedTuple):
    """One record for the vectors topic, or for dead letters."""

    topic: str
    key: bytes
    value: bytes | None


def require_topics(bootstrap: str, topics: Sequence[str], properties: Mapping[str, Any]) -> None:
    """Raise HeadwaterError, within about 10 s, when the broker does not answer or a topic is missing."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    _require_listener(bootstrap)
    seen: list[str] = []
    settings = {**properties, "bootstrap.servers": bootstrap, "error_cb": lambda error: seen.append(error.str())}
    try:
        client = AdminClient(settings, logger=_SILENT)
    except KafkaException as error:
        raise HeadwaterError(
            f"the Kafka properties are not usable: {error.args[0].str()}; expected settings of librdkafka; correct them"
        ) from None
    try:
        found = client.list_topics(timeout=START_S).topics
    except KafkaException as error:
        reason = next((text for text in seen if "brokers are down" not in text), error.args[0].str())
        raise _gone(bootstrap, reason) from None
    missing = [topic for topic in topics if topic not in found]
    if missing:
        raise HeadwaterError(
            f"Kafka at {bootstrap} has no topic {' and no '.join(map(repr, missing))}; found {_listed(found)}; "
            "create the job's topics with `headwater topics create`, or correct the names"
        )


class ItemsIn:
    """The items topic, from the offsets that the group has committed."""

    def __init__(self, bootstrap: str, topic: str, group: str, properties: Mapping[str, Any]) -> None:
        """Subscribe; a group without offsets starts at the beginning."""
        from confluent_kafka import Consumer

        self.broker_answers = True
        self.last_error = ""
        self.lag: int | None = None
        ours = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000,  # how long after kill -9 the next process waits; the broker's usual least
            "heartbeat.interval.ms": 2_000,
            "queued.max.messages.kbytes": BATCH_BYTES >> 10,  # per partition; with a batch it bounds memory
            "queued.min.messages": 1_000,
            "fetch.max.bytes": BATCH_BYTES,
            "max.poll.interval.ms": 600_000,  # a batch of a large model on a slow machine takes minutes
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
        }
        self._consumer = Consumer({**properties, **ours}, logger=_SILENT)
        self._consumer.subscribe([topic])

    def read(self, records: int) -> list[Arrived]:
        """Return up to `records` records that are there, waiting 0.1 s for the first and for each further lot."""
        batch: list[Arrived] = []
        taken_bytes = 0
        while len(batch) < records and taken_bytes < BATCH_BYTES:
            lot = self._consumer.consume(min(READ_RECORDS, records - len(batch)), READ_S)
            for message in lot:
                if message.error():
                    self.last_error = message.error().str()
                    continue
                self.broker_answers = True
                value = message.value()
                taken_bytes += len(value or b"")
                where = message.topic(), message.partition(), message.offset(), message.timestamp()[1]
                batch.append(Arrived(*where, message.key(), value))
            if len(lot) < READ_RECORDS:
                break
        return batch

    def commit(self, batch: Sequence[Arrived]) -> None:
        """Commit the offsets behind a batch, without waiting: a lost commit only means work done twice."""
        from confluent_kafka import KafkaException, TopicPartition

        behind = {(arrived.topic, arrived.partition): arrived.offset + 1 for arrived in batch}
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in behind.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self.last_error = error.args[0].str()

    def look(self) -> None:
        """Ask whether the broker answers and how much is waiting."""
        from confluent_kafka import KafkaException

        try:
            self._consumer.list_topics(timeout=_LOOK_S)
            self.broker_answers = True
            assigned = self._consumer.assignment()
            ends = [self._consumer.get_watermark_offsets(part, timeout=_LOOK_S, cached=False) for part in assigned]
            done = self._consumer.committed(assigned, timeout=_LOOK_S)
            waiting = [end[1] - max(end[0], part.offset) for end, part in zip(ends, done, strict=True)]
            self.lag = sum(waiting) if waiting else None  # no partition is ours yet
        except (KafkaException, TypeError):  # TypeError: the watermarks did not come in time and are None
            self.broker_answers = False
            self.lag = None
            self.last_error = self.last_error or "no answer in time"

    def close(self) -> None:
        """Send the last commit and leave the group; do not wait for a broker that is gone."""
        leaving = threading.Thread(target=self._consumer.close, daemon=True)
        leaving.start()
        leaving.join(CLOSE_S)

    def _on_error(self, error: Any) -> None:
        from confluent_kafka import KafkaError

        gone = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE)
        if error.code() in gone:
            self.broker_answers = False
        if not self.last_error or error.code() not in gone[::2]:  # these say less than the connection's own error
            self.last_error = error.str()

    def _on_commit(self, error: Any, _partitions: object) -> None:
        if error is not None:
            self.last_error = f"commit: {error.str()}"


class RecordsOut:
    """Vectors and dead letters: idempotent, retried for as long as it takes."""

    def __init__(self, bootstrap: str, properties: Mapping[str, Any]) -> None:
        """Make the producer; it connects by itself."""
        from confluent_kafka import Producer

        self.last_error = ""
        self._refused = ""
        ours = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "message.timeout.ms": 0,  # never give a record up: its item is committed only after it
            "linger.ms": 5,
            "queue.buffering.max.kbytes": 524_288,  # never filled: what one batch leads to is on its way at most
            "message.max.bytes": MESSAGE_BYTES,
            "partitioner": "murmur2_random",  # as Java clients do, so that a key's vectors meet in one partition
            "error_cb": self._on_error,
            "on_delivery": self._on_delivery,
        }
        self._producer = Producer({**properties, **ours}, logger=_SILENT)

    def send(self, records: Sequence[Leaving], at_ms: int) -> None:
        """Hand over records, some hundreds; `outstanding` waits for them.

        Raises:
            HeadwaterError: the broker has shut this producer out.
        """
        from confluent_kafka import KafkaException

        self._refused = ""
        try:
            for topic, key, value in records:
                self._producer.produce(topic, key=key, value=value, timestamp=at_ms)
        except KafkaException as error:
            raise HeadwaterError(
                f"Kafka takes no more records from this process: {error.args[0].str()}; start it again: it goes on "
                "where its offsets are committed"
            ) from None

    def outstanding(self, wait_s: float) -> int:
        """Wait up to `wait_s` and return how many records are not confirmed."""
        return int(self._producer.flush(wait_s))

    def refused(self) -> str:
        """Return why a record since the last `send` was refused, "" when none was."""
        return self._refused

    def close(self) -> None:
        """Drop what is not confirmed: its items are not committed."""
        self._producer.purge()
        self._producer.flush(CLOSE_S)

    def _on_delivery(self, error: Any, _message: object) -> None:
        if error is not None:
            self._refused = self.last_error = error.str()

    def _on_error(self, error: Any) -> None:
        self.last_error = error.str()


def _require_listener(bootstrap: str) -> None:
    """Raise at once when no address takes a connection; librdkafka would only say that time is over."""
    reasons = []
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=START_S / 2).close()
        except (OSError, ValueError) as error:
            reasons.append(getattr(error, "strerror", None) or str(error))
        else:
            return
    raise _gone(bootstrap, ", ".join(dict.fromkeys(reasons)))


def _gone(bootstrap: str, reason: str) -> HeadwaterError:
    return HeadwaterError(
        f"no Kafka broker answers at {bootstrap} ({reason}); expected an answer within {START_S:g} s; "
        "start one with `headwater kafka up`, or correct --bootstrap, or kafka.bootstrap of the configuration"
    )


def _listed(found: Mapping[str, Any]) -> str:
    names = sorted(name for name in found if not name.startswith("__"))
    return ", ".join(map(repr, names[:20])) or "none"
