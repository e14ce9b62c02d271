"""Events from the page, so that a person can try the loop: only where `headwater serve --clicks` allows it."""

import threading
import uuid
from typing import Any, NamedTuple

import msgspec

from jobs.config import Config
from jobs.kafka_client import open_producer
from state.errors import HeadwaterError

ACTION = "click"
_WAIT_S = 5.0


class Taken(NamedTuple):
    """Where the broker put an event."""

    event_id: str
    at_ms: int
    partition: int
    offset: int


class Clicks:
    """Sends events to the job's topic."""

    def __init__(self, config: Config) -> None:
        """Open a producer."""
        self._topic = config.events.topic
        self._domain = config.domain
        self._producer = open_producer(config.kafka.bootstrap, config.kafka.properties)

    def send(self, user: str, item: str, at_ms: int) -> Taken:
        """Send one event and wait until the broker has it.

        Raises:
            HeadwaterError: the broker does not take it.
        """
        event_id = f"page-{uuid.uuid4().hex}"
        event = {"event_id": event_id, "user": user, "item": item, "action": ACTION, "at": at_ms}
        if self._domain:
            event["domain"] = self._domain
        done = threading.Event()
        told: list[Any] = []

        def taken(error: Any, message: Any) -> None:
            told.extend((error, message))
            done.set()

        value = msgspec.json.encode(event)
        self._producer.produce(self._topic, key=user.encode(), value=value, timestamp=at_ms, on_delivery=taken)
        self._producer.flush(_WAIT_S)
        if not done.is_set() or told[0] is not None:
            reason = told[0].str() if told else f"no answer within {_WAIT_S:g} s"
            raise HeadwaterError(f"the broker did not take the event: {reason}; is it up? try again")
        return Taken(event_id, at_ms, told[1].partition(), told[1].offset())

    def close(self) -> None:
        """Send what waits."""
        self._producer.flush(_WAIT_S)
