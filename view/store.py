"""The view's memory on disk: keyed bytes in a rocksdict folder; data and positions are written in one batch."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from state.errors import HeadwaterError

SCHEMA_VERSION = 1  # of all entries; the view is derived, so another version is read anew from the outputs
USER, ITEM, VECTOR, CURVE, ERASED = b"u", b"i", b"v", b"c", b"x"
"""First byte of a key -> what follows: a user, an item, an item, the number of a point, a user's digest."""
TOTALS, RECENT = b"m/totals", b"m/recent"
_SOURCE, _POSITIONS = b"m/source", b"m/positions"
_WRITE_BUFFER_BYTES = 16 << 20

Entries = Iterable[tuple[bytes, bytes | None]]


class Store:
    """One folder, one process at a time. It survives kill -9; what a batch holds is there as a whole or not at all."""

    def __init__(self, folder: Path, source: str) -> None:
        """Open or make the folder; forget it where it was kept from another source, or by another version.

        Args:
            folder: for the store alone.
            source: where the data comes from.

        Raises:
            HeadwaterError: another process has it open, or the folder cannot be used.
        """
        self.folder = folder
        self._about = json.dumps([SCHEMA_VERSION, source]).encode()
        self._db = _open(folder)
        self.forgotten = False
        if (found := self._db.get(_SOURCE)) != self._about:
            self.forgotten = found is not None
            self.clear()

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes under `key`, None where there are none."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, prefix: bytes, most: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield (rest of the key, value) of the keys that begin with `prefix`, in their order."""
        for n, (key, value) in enumerate(self._db.items(from_key=prefix)):
            if not key.startswith(prefix) or n == most:
                return
            yield key[len(prefix) :], value

    def positions(self) -> dict[str, int]:
        """Return how far each part has been read."""
        found: dict[str, int] = json.loads(self.get(_POSITIONS) or b"{}")
        return found

    def write(self, entries: Entries, positions: dict[str, int]) -> None:
        """Store entries (None removes) and positions, all of them or none."""
        from rocksdict import WriteBatch

        batch = WriteBatch(raw_mode=True)
        for key, value in entries:
            if value is None:
                batch.delete(key)
            else:
                batch[key] = value
        batch[_POSITIONS] = json.dumps(positions).encode()
        self._db.write(batch)

    def clear(self) -> None:
        """Forget everything but what the store is of."""
        self._db.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._db = _open(self.folder)
        self._db[_SOURCE] = self._about

    def close(self) -> None:
        """Release the folder."""
        self._db.close()


def _open(folder: Path) -> Any:
    from rocksdict import Options, Rdict

    options = Options(raw_mode=True)  # bytes only: without it, unknown objects would be pickled
    options.create_if_missing(True)
    options.set_keep_log_file_num(1)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / "CURRENT").exists():
            raise HeadwaterError(
                f"{folder} holds other files; expected a folder for the view alone; name another --store"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return Rdict(str(folder), options)
    except OSError as error:
        raise HeadwaterError(
            f"cannot keep the view in {folder}: {error.strerror}; expected a folder to write in; name another --store"
        ) from None
    except HeadwaterError:
        raise
    except Exception as error:  # rocksdict raises this class itself
        held = "/LOCK:" in str(error)  # as RocksDB names its lock file
        raise HeadwaterError(
            f"the view in {folder} "
            + ("is held by another headwater serve; stop that one" if held else f"is damaged: {str(error)[:200]}")
            + ("" if held else "; remove the folder, it is made again from the outputs")
            + "; or name another --store"
        ) from None
