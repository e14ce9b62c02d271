"""What a person reads when a Flink job fails: its root cause, in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.causes import last_python_error, one_line
from jobs.flink_env import restart_options

ROOT = Path(__file__).parents[2]

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


LOG = """2026-11-25 09:41:13,669 ERROR PythonWorker [] - worker_main.py:67 Traceback (most recent call last):
  File "worker.py", line 1, in run
    raise KeyError("first")
KeyError: 'first'
2026-11-25 09:41:13,672 WARN  org.apache.flink.runtime.taskmanager.Task [] - sessions switched to FAILED
org.apache.flink.runtime.taskmanager.AsynchronousException: Caught exception
\tat org.apache.flink.streaming.runtime.tasks.StreamTask.run(StreamTask.java:1)
Caused by: java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):
  File "operators.py", line 4, in process_element
    raise CorruptBytes(
    ^^^^^^^^^^
state.errors.CorruptBytes: shard 2 is bad

\tat java.base/java.lang.Thread.run(Unknown Source)
\t... 1 more
"""
GRPC = """2026-11-25 09:41:14,000 ERROR PythonWorker [] - sdk_worker.py:315 Traceback (most recent call last):
  File "sdk_worker.py", line 2, in run
grpc._channel._MultiThreadedRendezvous: <_MultiThreadedRendezvous of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
"""


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ({}, ""),
        ({"vm.log": "2026-11-25 09:41:13,669 WARN  No tokens obtained\n"}, ""),
        (
            {"vm.log": LOG, "python.err": "pthread lock: Invalid argument\n"},
            "state.errors.CorruptBytes: shard 2 is bad",
        ),
        ({"vm.log": LOG + GRPC}, "state.errors.CorruptBytes: shard 2 is bad"),
        ({"vm.log": "", "python.err": TRACEBACK}, "state.errors.CorruptBytes: shard 2 is bad on a second line"),
    ],
    ids=["nothing", "no error", "the newest", "not its consequence", "thread mode"],
)
def test_the_logs_know_what_a_dead_jvm_cannot_tell(tmp_path: Path, logs: dict[str, str], expected: str) -> None:
    """The last error of ours in any of them is told; what its loss did to the workers is not."""
    for name, text in logs.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    assert expected == last_python_error(tmp_path)


def test_only_a_live_job_is_tried_again() -> None:
    """A broker may be back in a moment; a file is as bad as it was."""
    assert restart_options(live=False) == {"restart-strategy.type": "disable"}
    assert restart_options(live=True)["restart-strategy.fixed-delay.attempts"] == "3"


@pytest.mark.flink
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_failing_job_ends_and_says_why(tmp_path: Path, mode: str) -> None:
    """Whatever becomes of the JVM (hence a process of its own), the last line has the operator's own error."""
    command = [sys.executable, "-m", "tests.jobs.failing_job", mode, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 2, done.stderr
    assert "ValueError: 2 is bad" in done.stderr.splitlines()[-1]
    assert f"; the logs are in {tmp_path}" in done.stderr.splitlines()[-1]
