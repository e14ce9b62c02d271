"""The law of equal bits across compilations: a kernel compiled now and one loaded from numba's cache agree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import hashlib
import numpy as np
from online.catalogue import Catalogue
from online.learner import Learner
from online.outputs import list_message
from online.settings import Settings
from tests.small import START_MS, record, run
items = [f"i{n:04d}" for n in range(777)]
rng = np.random.default_rng(0)
settings = Settings(tick_ms=60_000)
vectors = rng.normal(size=(len(items), 96)).astype(np.float32)
catalogue = Catalogue.build("m", items, vectors, np.zeros(len(items), np.int64), settings.learning.dim)
chosen = (rng.random(1500) ** 3 * len(items)).astype(int)
records = [record(n, START_MS + 900 * n, f"u{n % 97}", items[chosen[n]]) for n in range(len(chosen))]
result = run(records, settings, Learner(settings, catalogue))
lists = hashlib.sha256(b"".join(list_message(made).value for made in result.lists)).hexdigest()
print(result.final.head_sha256, lists)
"""
"""A world with the sizes of a real one: in one of a dozen items `fastmath=True` did not show."""


@pytest.mark.slow
def test_fresh_and_cached_kernels_give_equal_bits(tmp_path: Path) -> None:
    """Two processes with one empty cache: the first compiles, the second loads; lists and tables are the same bytes.

    With `fastmath=True` they were not (online/kernels.py).
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", RUN],
            env=environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(done.stdout)
        assert list(tmp_path.rglob("*.nbc")), "numba wrote no cache: the second run compiles too, and proves nothing"
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == 2
