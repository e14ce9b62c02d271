"""The side process with a slow hash encoder, for tests: BOOTSTRAP ITEMS VECTORS GROUP CACHE WAIT_MS."""

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cache import VectorCache
from models.side import Route, run, summary
from tests.models.hash_encoder import HashEncoder


class SlowEncoder(HashEncoder):
    """Takes a while for each batch, so that a kill meets one in the middle."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__()
        self._wait_s = wait_ms / 1000

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(self._wait_s)
        return super().encode(texts)


def main(bootstrap: str, items: str, vectors: str, group: str, cache: str, wait_ms: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with VectorCache(Path(cache)) as opened:
        counts = run(Route(bootstrap, items, vectors, group, batch=100), SlowEncoder(int(wait_ms)), opened, stop)
    print(summary(counts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
