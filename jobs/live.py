"""The live job, topics in and topics out: the same graph on every Flink."""

from pathlib import Path

from jobs.config import Config
from jobs.flink_env import Flink
from jobs.graph import build
from jobs.operators import ROWS
from jobs.sinks import to_topic
from jobs.sources import topic_inputs


def build_live(
    flink: Flink, config: Config, vectors: Path, mode: str, *, bounded: bool = False, restore: Path | None = None
) -> None:
    """Build the job on `flink`.

    Args:
        flink: to build on.
        config: of the job.
        vectors: file of the initial catalogue, as `jobs.package.shipped` finds it where the operators run.
        mode: thread or process.
        bounded: one pass over what the topics hold now.
        restore: the checkpoint from which that goes on.
    """
    inputs = topic_inputs(flink, config, bounded=bounded, restore=restore)
    outputs = build(inputs, config.settings(), vectors, ROWS, mode, (config.events.topic, config.vectors.topic))
    to_topic(outputs.lists, config, config.lists.topic, "lists")
    to_topic(outputs.dead_letters, config, config.dead_letters.topic, "dead-letters")
    to_topic(outputs.metrics, config, config.metrics.topic, "metrics")
