"""What every test shares: strict numerics, one thread for matrix products, and the real broker where a test asks."""

import os
from collections.abc import Iterator

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy: products round by the number of threads
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the variables above
import pytest  # noqa: E402

pytest_plugins = ["tests.kafka_fixture"]

np.seterr(all="raise", under="ignore")  # underflow to zero is what a softmax does with hopeless items


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Take back the marks that are left on us: with PyFlink's, of a worker, no child could start a JVM."""
    yield
    os.environ.pop("PYFLINK_GATEWAY_DISABLED", None)
    os.environ.pop("HEADWATER_FOLDER", None)  # the mark of a run in this process: later children are none of it
