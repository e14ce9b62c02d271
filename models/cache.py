"""Vectors already made, on disk by (model id with its revision, text hash): a second run embeds nothing."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.errors import HeadwaterError

LOCK_WAIT_S = 5.0  # the lock of a killed process is free at once; of one that is closing, soon
_WRITE_BUFFER_BYTES = 16 << 20
_LAYOUT = b"1"  # first byte of each key; a new layout leaves the old entries unread


class VectorCache:
    """A rocksdict folder. One process at a time; what was stored survives kill -9.

    It grows by 4 * dim bytes a text and never forgets; to empty it, remove the folder.
    """

    def __init__(self, folder: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Open or make the folder.

        Raises:
            HeadwaterError: another process has it open, or it is no cache of ours, or it is damaged.
        """
        from rocksdict import Options, Rdict

        options = Options(raw_mode=True)  # bytes only: without it, unknown objects would be pickled
        options.create_if_missing(True)
        options.set_keep_log_file_num(1)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        self.folder = folder
        deadline = time.monotonic() + lock_wait_s
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
                if time.monotonic() >= deadline:
                    raise HeadwaterError(
                        f"the cache {folder} is in use by another process; expected to be alone; "
                        "wait until that one ends, or name another folder with --cache"
                    ) from None
                time.sleep(0.1)

    def get(self, model_id: str, hashes: Sequence[str]) -> list[NDArray[np.float32] | None]:
        """Return the vectors of texts by their SHA-256 hex; None for those not stored."""
        if not hashes:
            return []
        try:
            found = self._db.get([_key(model_id, sha256) for sha256 in hashes])
        except Exception as error:  # rocksdict raises this class itself
            raise self._damaged(error) from None
        return [None if raw is None else np.frombuffer(raw, "<f4").astype(np.float32) for raw in found]

    def put(self, model_id: str, hashes: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store vectors, shape (len(hashes), d): all or none of them."""
        from rocksdict import WriteBatch

        batch = WriteBatch(raw_mode=True)
        for sha256, vector in zip(hashes, vectors, strict=True):
            batch[_key(model_id, sha256)] = np.ascontiguousarray(vector, "<f4").tobytes()
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


def _key(model_id: str, sha256: str) -> bytes:
    return _LAYOUT + model_id.encode() + b"\0" + bytes.fromhex(sha256)
