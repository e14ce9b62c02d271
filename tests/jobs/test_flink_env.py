"""What a person reads when a Flink job fails: its root cause, in one line."""

from pathlib import Path
from typing import Any

import pytest

from jobs.config import Config, Flink
from jobs.flink_env import one_line, open_flink, start
from state.errors import HeadwaterError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:httplib2")  # comes with beam

TRACEBACK = """RuntimeException: Error received from SDK harness for instruction 3: Traceback (most recent call last):
  File "worker.py", line 1, in run
    raise KeyError("inner")
KeyError: 'inner'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "operators.py", line 4, in process_element
    raise ValueError("shard 2 is bad")
    ^^^^^^^^^^
state.errors.CorruptBytes: shard 2 is bad
on a second line
"""


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("FileNotFoundException: File file:/no does not exist", "FileNotFoundException: File file:/no does not exist"),
        ("PythonException: <class 'ValueError'>: shard 2\n is bad", "ValueError: shard 2 is bad"),
        (TRACEBACK, "state.errors.CorruptBytes: shard 2 is bad on a second line"),
        ("Traceback (most recent call last):\n  cut off", "Traceback (most recent call last): cut off"),
    ],
)
def test_cause_is_one_line(told: str, expected: str) -> None:
    """Of a traceback only its error is left, whichever way it came out of Flink."""
    assert expected == one_line(told)


@pytest.mark.flink
# In process mode PyFlink runs the worker in this process here; its reader thread complains when the job is torn down.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_failing_job_ends_and_says_why(tmp_path: Path, mode: str) -> None:
    """An operator that always fails is tried again a few times, not for ever; then its own error is told."""
    from pyflink.common import Types

    flink = open_flink(Config(flink=Flink(checkpoint_interval_ms=1000)), mode, tmp_path)
    stream = flink.env.from_collection([1, 2, 3], Types.INT()).map(_refuse(), Types.INT())
    stream.print()

    with pytest.raises(HeadwaterError, match=r"the Flink job failed: ValueError: 2 is bad; the logs are in /"):
        start(flink, "failing").wait()


def _refuse() -> Any:
    def refuse(number: int) -> int:
        if number == 2:
            raise ValueError("2 is bad")
        return number

    return refuse
