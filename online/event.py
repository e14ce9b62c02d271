"""One event from its bytes: typed, validated, or a reason why not."""

import math

import msgspec

from state.utf8 import is_utf8

MAX_ID_BYTES = 256  # of a user, item, event, basket or session id; a longer one is an error of the producer


class Event(msgspec.Struct, frozen=True, gc=False):
    """One user's action on one item, as it stands on the events topic. Unknown fields are ignored."""

    user: str
    item: str
    event_id: str | None = None
    action: str | None = None
    at: int | float | None = None  # informative: the event time is the record's timestamp
    value: float | None = None
    basket: str | None = None
    session: str | None = None
    context: dict[str, str | float] | None = None
    domain: str | None = None


REASONS = {
    "null_value": "the record has no value",
    "too_large": "the value is larger than events.max_bytes",
    "bad_utf8": "the value is not UTF-8",
    "bad_json": "the value is not JSON",
    "too_deep": "the JSON is nested too deeply",
    "bad_schema": "a field is missing or has the wrong type",
    "bad_id": f"a user, item or event id is empty, or any id longer than {MAX_ID_BYTES} bytes, or no valid Unicode",
    "key_mismatch": "the record's key is not the event's user, so its partition keeps no order for the user",
    "other_domain": "the event names a domain that this job does not serve",
    "late": "older than the newest record before it in its partition by more than events.lateness",
    "late_idle": "its partition was idle and came back after the tick was closed",
    "bad_time": "the row's time cannot be read",
    "bad_row": "the row cannot be split into the header's columns",
    "missing_user": "the row has no user",
    "missing_item": "the row has no item",
    "bad_vector": "the vector cannot be read, or is not finite",
    "other_model": "the vector was made by another model than the catalogue's",
}
"""Stable reason codes of dead letters, with their meaning."""

_DECODER = msgspec.json.Decoder(Event)


def decode_event(key: bytes | None, value: bytes | None, *, domain: str, max_bytes: int) -> Event | str:
    """Return the event in `value`, or the reason code why there is none. Never raises, whatever the bytes."""
    if value is None:
        return "null_value"
    if len(value) > max_bytes:
        return "too_large"
    try:
        event = _DECODER.decode(value)
    except msgspec.ValidationError:
        return "bad_schema"
    except msgspec.DecodeError:
        return "bad_json" if is_utf8(value) else "bad_utf8"
    except UnicodeDecodeError:
        return "bad_utf8"
    except RecursionError:
        return "too_deep"
    ids = (event.user, event.item, event.event_id, event.basket, event.session)
    if "" in ids[:3] or not all(_is_id(text) for text in ids if text is not None):
        return "bad_id"
    if event.value is not None and not math.isfinite(event.value):
        return "bad_schema"
    if key != event.user.encode():
        return "key_mismatch"
    if event.domain is not None and event.domain != domain:
        return "other_domain"
    return event


def _is_id(text: str) -> bool:
    if text.isascii():
        return len(text) <= MAX_ID_BYTES
    try:
        return len(text.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # a lone surrogate, which JSON escapes can spell
        return False
