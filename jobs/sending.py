"""Sends records to a topic at their times, and tells from time to time how far it is."""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from jobs.config import Config
from jobs.kafka_client import open_producer
from jobs.unruly import Sent
from state.errors import HeadwaterError

TELL_S = 5.0
_FLUSH_S = 10.0


class Sender:
    """A producer to one topic."""

    def __init__(self, config: Config, topic: str) -> None:
        """Open it.

        Raises:
            HeadwaterError: the broker does not answer.
        """
        self.sent = 0
        self._topic = topic
        self._failed = ""
        self._producer = open_producer(config.kafka.bootstrap, config.kafka.properties)

    def send(self, key: bytes | None, value: bytes | None, at_ms: int) -> None:
        """Send one record, waiting while the producer's queue is full.

        Raises:
            HeadwaterError: the broker refused an earlier one.
        """
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, timestamp=at_ms, on_delivery=self._told)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)
        self.sent += 1
        self._check()

    def finish(self) -> None:
        """Wait until the broker has all."""
        left = self._producer.flush(_FLUSH_S)
        self._check()
        if left:
            raise HeadwaterError(f"{left} records could not be sent within {_FLUSH_S:g} s; is the broker up?")

    def _told(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed = error.str()

    def _check(self) -> None:
        if self._failed:
            raise HeadwaterError(
                f"topic {self._topic} did not take a record: {self._failed}; see headwater topics create"
            )


def send_all(records: Iterable[Sent], sender: Sender, time_of: Callable[[Sent], int], stop: threading.Event) -> None:
    """Send each record when it is due, until all are sent or `stop` is set.

    Args:
        records: by ascending `due_s`.
        sender: to the topic.
        time_of: returns a record's timestamp, Unix ms.
        stop: ends it.
    """
    start = time.monotonic()
    told = start
    for record in records:
        wait_s = start + record.due_s - time.monotonic()
        if stop.wait(max(0.0, wait_s)):
            break
        sender.send(record.key, record.value, time_of(record))
        now = time.monotonic()
        if now - told >= TELL_S:
            told = now
            print(f"{sender.sent:>11,} records, {sender.sent / (now - start):,.0f}/s", file=sys.stderr, flush=True)
    sender.finish()
