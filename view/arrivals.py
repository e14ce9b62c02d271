"""What a feed hands to the view: records of the job's outputs in order, and how far each stream has been read."""

from typing import Literal, NamedTuple, Protocol

Stream = Literal["lists", "metrics", "dead_letters", "items", "vectors"]
STREAMS: tuple[Stream, ...] = ("lists", "metrics", "dead_letters", "items", "vectors")


class Arrived(NamedTuple):
    """One record of an output."""

    stream: Stream
    key: bytes | None
    value: bytes | None  # None withdraws what the key stood for
    at_ms: int  # when the broker, or the file system, took it; Unix ms


class Batch(NamedTuple):
    """Records, and the positions behind them: both are stored together or not at all."""

    records: list[Arrived]
    positions: dict[str, int]  # of the parts that moved: "stream/partition" or a file's name -> the next offset


class Lag(NamedTuple):
    """How many records wait to be read."""

    view: int  # in the outputs, by us
    job: int | None  # in the events, by the job; None where nobody can say


class Feed(Protocol):
    """A source of batches."""

    live: bool  # whether its times are those of the clock
    caught_up: bool  # whether the end of every stream has been reached since the start

    def open(self, positions: dict[str, int]) -> bool:
        """Go to the positions; False: what was read up to them is gone, so all must be read anew."""
        ...

    def read(self, wait_s: float) -> Batch | None:
        """Return what has come, waiting up to `wait_s` for the first record; None: the run has begun anew."""
        ...

    def lag(self) -> Lag:
        """Return what waits."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...
