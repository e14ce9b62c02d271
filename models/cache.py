"""Vectors already made, on disk by (model id with its revision, precision, text hash): a second run embeds nothing."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.errors import HeadwaterError

LOCK_WAIT_S = 600.0  # two replays that start at once both go through: the second finds what the first has made
TELL_S = 5.0  # of waiting, until it is told; the lock of a killed process is free at once, of one that is closing, soon
_WRITE_BUFFER_BYTES = 16 << 20
_LAYOUT = b"2"  # first byte of each key; a new layout leaves the old entries unread


class VectorCache:
    """A rocksdict folder. One process at a time; what was stored survives kill -9.

    It grows by 4 * dim bytes a text and never forgets; to empty it, remove the folder.
    """

    def __init__(self, folder: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Open or make the folder; wait while another process has it open, with a line on stderr after 5 s.

        Raises:
            HeadwaterError: another process kept it open all that time, or it is no cache of ours, or it is damaged.
        """
        from rocksdict import Options, Rdict

        options = Options(raw_mode=True)  # bytes only: without it, unknown objects would be pickled
        options.create_if_missing(True)
        options.set_keep_log_file_num(1)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        self.folder = folder
        waiting = _Waiting(folder, lock_wait_s)
        while True:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._db: Any = Rdict(str(folder), options)
                return
            except OSError as error:
                raise HeadwaterError(
                    f"cannot use {folder} as a cache: {error.strerror}; expected a folder that may be written; "
                    "name another with --cache"
                ) from None
            except Exception as error:  # rocksdict raises this class itself
                if "/LOCK:" not in str(error):  # as RocksDB names its lock file
                    raise self._damaged(error) from None
                waiting.go_on()

    def get(self, model_id: str, precision: str, hashes: Sequence[str]) -> list[NDArray[np.float32] | None]:
        """Return the vectors of texts by their SHA-256 hex; None for those not stored.

        Args:
            model_id: of the encoder.
            precision: that it computes with: half precision rounds otherwise, so the two never meet in one catalogue.
            hashes: of the texts.
        """
        if not hashes:
            return []
        try:
            found = self._db.get([_key(model_id, precision, sha256) for sha256 in hashes])
        except Exception as error:  # rocksdict raises this class itself
            raise self._damaged(error) from None
        return [None if raw is None else np.frombuffer(raw, "<f4").astype(np.float32) for raw in found]

    def put(self, model_id: str, precision: str, hashes: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store vectors, shape (len(hashes), d): all or none of them."""
        from rocksdict import WriteBatch

        batch = WriteBatch(raw_mode=True)
        for sha256, vector in zip(hashes, vectors, strict=True):
            batch[_key(model_id, precision, sha256)] = np.ascontiguousarray(vector, "<f4").tobytes()
        try:
            self._db.write(batch)
        except Exception as error:  # rocksdict raises this class itself
            raise self._damaged(error) from None

    def close(self) -> None:
        """Release the folder."""
        self._db.close()

    def __enter__(self) -> "VectorCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _damaged(self, error: Exception) -> HeadwaterError:
        return HeadwaterError(
            f"the cache {self.folder} cannot be used: {str(error)[:200]}; expected a folder made by `headwater encode` "
            "on a disk with room; remove the folder (its vectors are made again), or name another with --cache"
        )


class _Waiting:
    """Waits for the lock, tells once that it does, and gives up in the end."""

    def __init__(self, folder: Path, most_s: float) -> None:
        self._folder = folder
        self._most_s = most_s
        self._start_s = time.monotonic()
        self._told = False

    def go_on(self) -> None:
        """Wait a moment."""
        waited_s = time.monotonic() - self._start_s
        remedy = "name another folder with --cache or HEADWATER_CACHE, or do without with --no-cache"
        if waited_s >= self._most_s:
            raise HeadwaterError(
                f"the cache {self._folder} is in use by another process, for {waited_s:.0f} s now; expected to be "
                f"alone; wait until that one ends; or {remedy}"
            ) from None
        if waited_s >= TELL_S and not self._told:
            print(
                f"headwater encode: waiting, for {self._most_s:.0f} s at most, until another process has done with the "
                f"cache {self._folder}; or {remedy}",
                file=sys.stderr,
                flush=True,
            )
            self._told = True
        time.sleep(0.1)


def _key(model_id: str, precision: str, sha256: str) -> bytes:
    return _LAYOUT + f"{model_id}\0{precision}\0".encode() + bytes.fromhex(sha256)
