"""The job's outputs as the view reads them: of each line only what it needs, so that new fields break nothing."""

from typing import Any

import msgspec

from state.errors import HeadwaterError


class AfterLine(msgspec.Struct, frozen=True, gc=False):
    """The last event folded into a list."""

    partition: int
    offset: int
    event_id: str


class ListLine(msgspec.Struct, frozen=True, gc=False):
    """One refreshed list."""

    user: str
    at: int
    head: int
    model_id: str
    after: AfterLine
    items: list[str]
    scores: list[float]
    why: dict[str, list[float]] | None = None


class MetricsLine(msgspec.Struct, frozen=True, gc=False):
    """What one tick measured; the last line of a bounded run, which has totals only, is `final`."""

    tick: int
    accepted: int = 0
    duplicates: int = 0
    lists: int = 0
    items: int = 0
    user: list[str] = []
    item: list[str] = []
    left_ms: list[int] = []
    actions: dict[str, list[int]] = {}
    ranks: dict[str, list[int]] = {}
    final: bool = False


class DeadLetterReason(msgspec.Struct, frozen=True, gc=False):
    """Why a record was refused."""

    reason: str


_LIST = msgspec.json.Decoder(ListLine)
_METRICS = msgspec.json.Decoder(MetricsLine)
_REASON = msgspec.json.Decoder(DeadLetterReason)


def read_list(value: bytes) -> ListLine:
    """Read a line of the recommendations."""
    found: ListLine = _read(_LIST, value, "list")
    return found


def read_metrics(value: bytes) -> MetricsLine:
    """Read a line of the metrics."""
    found: MetricsLine = _read(_METRICS, value, "metrics line")
    return found


def read_reason(value: bytes) -> str:
    """Return the reason code of a dead letter."""
    found: DeadLetterReason = _read(_REASON, value, "dead letter")
    return found.reason


def _read(decoder: Any, value: bytes, what: str) -> Any:
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HeadwaterError(
            f"a {what} cannot be read: {error}; it starts {value[:60]!r}; expected an output of headwater; "
            "do the configuration and its topics, or the folder, belong to one job?"
        ) from None
