"""What a checkpoint says of the Kafka sources that it holds."""

from collections.abc import Mapping
from pathlib import Path

from state.errors import HeadwaterError


def assigned_in(restore: Path, topics: Mapping[str, str]) -> set[str]:
    """Return the sources that had found the partitions of their topic when the checkpoint was taken.

    Needs the JVM.

    Args:
        restore: folder of the checkpoint.
        topics: uid of a source -> its topic.

    Raises:
        HeadwaterError: the checkpoint cannot be read.
    """
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # comes with apache-flink
    from pyflink.java_gateway import get_gateway

    jvm = get_gateway().jvm
    found = set()
    try:
        file = jvm.java.io.DataInputStream(jvm.java.io.FileInputStream(str(restore / "_metadata")))
        try:
            loader = jvm.Thread.currentThread().getContextClassLoader()
            read = jvm.org.apache.flink.runtime.checkpoint.Checkpoints.loadCheckpointMetadata
            states = read(file, loader, str(restore)).getOperatorStates()
        finally:
            file.close()
        for state in states:
            uid, coordinator = state.getOperatorUid(), state.getCoordinatorState()
            topic = topics.get(uid.get()) if uid.isPresent() else None
            # The coordinator keeps the name of the topic with each partition, and nothing else that is text.
            if topic and coordinator is not None and topic.encode() in bytes(coordinator.getData()):
                found.add(uid.get())
    except Py4JJavaError as error:
        raise HeadwaterError(
            f"the checkpoint {restore} cannot be read: {error.java_exception.getMessage()}; start anew without --resume"
        ) from None
    return found
