"""The feed of a replay: its folder, followed while the replay runs, whatever of it is there."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from state.errors import HeadwaterError
from view.arrivals import Arrived, Batch, Lag, Stream

LISTS, DEAD_LETTERS, METRICS = "recommendations", "dead_letters", "metrics.jsonl"
WORK = ".work"  # where a running replay keeps the parts of its metrics
_TICK = "tick"  # position: of the newest metrics line read, because the parts of a run are joined at its end
_FINAL = "final"  # position: 1 when the totals have been read
_MOST_BYTES = 4 << 20  # of a batch
_POLL_S = 0.25


class _At(msgspec.Struct):
    """What is read of a line before it is folded."""

    at: int = 0
    tick: int = 0
    final: bool = False


_AT = msgspec.json.Decoder(_At)


class FolderFeed:
    """Reads whole lines of the outputs, in the order of event time between files."""

    live = False

    def __init__(self, folder: Path) -> None:
        """Name the folder.

        Raises:
            HeadwaterError: it is no replay's.
        """
        if not (folder / LISTS).is_dir():
            raise HeadwaterError(
                f"{folder} holds no {LISTS}/; expected the folder of a replay; "
                "name the --out of a headwater replay, or run one: headwater replay --config F --out DIR"
            )
        self.caught_up = False
        self._folder = folder
        self._positions: dict[str, int] = {}

    def open(self, positions: dict[str, int]) -> bool:
        """Go to the positions; see `view.arrivals.Feed`."""
        self._positions = dict(positions)
        return not self._is_gone()

    def read(self, wait_s: float) -> Batch | None:
        """Return what has come; see `view.arrivals.Feed`."""
        deadline = time.monotonic() + wait_s
        while True:
            if self._is_gone():
                return None
            batch = self._scan()
            if batch.records or time.monotonic() >= deadline:
                self.caught_up = self.caught_up or not batch.records
                return batch
            time.sleep(min(_POLL_S, wait_s))

    def lag(self) -> Lag:
        """Return what waits: nothing that is in the folder waits long."""
        return Lag(0, None)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _is_gone(self) -> bool:
        """Say whether a list that was read is there no more, so that the folder is of another run."""
        for name, offset in self._positions.items():
            if name.startswith(LISTS):
                try:
                    if (self._folder / name).stat().st_size < offset:
                        return True
                except OSError:
                    return True
        return False

    def _scan(self) -> Batch:
        records: list[Arrived] = []
        moved: dict[str, int] = {}
        left = _MOST_BYTES
        for stream, file in self._files():
            name = str(file.relative_to(self._folder))
            start = self._positions.get(name, 0)
            try:
                stat = file.stat()
                with file.open("rb") as source:
                    source.seek(start)
                    raw = source.read(left) if stat.st_size > start else b""
            except OSError:  # a part that was joined with the others since we looked
                continue
            whole = raw[: raw.rfind(b"\n") + 1]
            if not whole:
                continue
            for line in whole.splitlines():
                records += self._line(stream, line, stat.st_mtime_ns // 1_000_000, moved)
            moved[name] = start + len(whole)
            left -= len(whole)
            if left <= 0:
                break
        self._positions |= moved
        return Batch(records, moved)

    def _line(self, stream: Stream, line: bytes, at_ms: int, moved: dict[str, int]) -> Iterator[Arrived]:
        """Yield the record of a line, unless it is of metrics that were read before."""
        if stream == "metrics":
            found = _AT.decode(line)
            key, value = (_FINAL, 1) if found.final else (_TICK, found.tick)
            if value <= moved.get(key, self._positions.get(key, 0)):
                return
            moved[key] = value
        yield Arrived(stream, None, line, at_ms)

    def _files(self) -> Iterator[tuple[Stream, Path]]:
        """Yield files with something new: metrics first, so that a user's events are there when the list comes."""
        for part in (self._folder / WORK / METRICS, self._folder / METRICS):
            files = part.glob("part-*.jsonl") if part.is_dir() else [part] if part.is_file() else []
            yield from (("metrics", file) for file in self._ordered(files))
        for stream, name in (("lists", LISTS), ("dead_letters", DEAD_LETTERS)):
            files = (file for file in (self._folder / name).glob("*.jsonl") if not file.name.startswith((".", "_")))
            yield from ((stream, file) for file in self._ordered(files))  # type: ignore[misc]  # the names are literals

    def _ordered(self, files: Iterator[Path] | list[Path]) -> list[Path]:
        """Return the files that have grown, those with earlier event times first."""
        grown = []
        for file in files:
            try:
                if file.stat().st_size > self._positions.get(str(file.relative_to(self._folder)), 0):
                    with file.open("rb") as source:
                        first = _AT.decode(source.readline() or b"{}")
                    grown.append((first.final, first.at or first.tick, file))
            except (OSError, msgspec.DecodeError):  # its first line is not whole yet
                continue
        return [file for _, _, file in sorted(grown)]
