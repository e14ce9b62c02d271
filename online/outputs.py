"""The job's outputs as bytes: lists, dead letters and metrics, each with the key it is sent under."""

import base64
from typing import NamedTuple

import msgspec

from online.learner import Final, TickMetrics, UserList
from online.session import DeadLetter


class Message(NamedTuple):
    """What goes to a topic, or as its value alone to a file."""

    key: bytes
    value: bytes


class DeadLetterLine(msgspec.Struct, frozen=True):
    """A dead letter as it is written; bytes are base64, None where the record had none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    reason: str
    key_base64: str | None
    value_base64: str | None


_ENCODER = msgspec.json.Encoder()


def list_message(made: UserList) -> Message:
    """Return a list's message, keyed by user."""
    return Message(made.user.encode(), _ENCODER.encode(made))


def metrics_message(domain: str, metrics: TickMetrics | Final) -> Message:
    """Return a metrics message, keyed by domain."""
    return Message(domain.encode(), _ENCODER.encode(metrics))


def dead_letter_message(topic: str, letter: DeadLetter) -> Message:
    """Return a dead letter's message, keyed by where the record lay: `topic/partition/offset`."""
    record = letter.record
    line = DeadLetterLine(
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.at_ms,
        reason=letter.reason,
        key_base64=_base64(record.key),
        value_base64=_base64(record.value),
    )
    return Message(f"{topic}/{record.partition}/{record.offset}".encode(), _ENCODER.encode(line))


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()
