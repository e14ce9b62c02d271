"""What a user reads when a Flink cluster does not do what was asked."""

import pytest

from jobs.broker import free_port
from jobs.flink_rest import FlinkRest, _deepest
from state.errors import HeadwaterError

STACK = """java.util.concurrent.CompletionException: org.apache.flink.util.CheckpointException: Checkpoint failed
\tat java.base/java.util.concurrent.CompletableFuture.encodeThrowable(CompletableFuture.java:331)
Caused by: org.apache.flink.util.FlinkRuntimeException: Could not create savepoint directory.
\tat org.apache.flink.runtime.checkpoint.CheckpointCoordinator.x(CheckpointCoordinator.java:1)
Caused by: java.io.IOException: Mkdirs failed to create file:/no
for a reason
\tat org.apache.flink.core.fs.local.LocalFileSystem.x(LocalFileSystem.java:2)
\t... 9 more
"""


@pytest.mark.parametrize("target", ["127.0.0.1:8081", "ftp://x:1", "http://", "http://x:port", "http://x/jobs"])
def test_a_target_is_an_address(target: str) -> None:
    """Anything else is told before anything is asked."""
    with pytest.raises(HeadwaterError, match=r"--target is .*; expected http://HOST:PORT"):
        FlinkRest(target)


def test_nobody_there_is_one_line() -> None:
    """With the reason and what to do."""
    target = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(HeadwaterError, match=rf"no Flink answers at {target} \(Connection refused\); .*cluster up"):
        FlinkRest(target).jobs()


def test_the_deepest_cause_is_told() -> None:
    """Of a stack trace only what began it, without Java's packages."""
    assert _deepest(STACK) == "IOException: Mkdirs failed to create file:/no\nfor a reason"
    assert _deepest("") == ""
