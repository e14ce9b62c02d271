"""Whether a run until the end is over, by its own outputs: Flink forgets the checkpoints of a job that has finished."""

import json
import os
import shutil
from pathlib import Path

from jobs.config import Config
from jobs.kafka_client import open_consumer
from state.errors import HeadwaterError

NOTE = "pass.json"  # where the metrics topic ended before the first output, and whether all is done
_WAIT_S = 10.0
_PARTITION = 0  # of the metrics


def begin(config: Config, folder: Path) -> None:
    """Write down where the outputs of a run that now starts begin."""
    consumer = open_consumer(config.kafka.bootstrap, config.kafka.properties, group=f"{config.name}-until-end")
    try:
        end = _end(consumer, config)
    finally:
        consumer.close()
    _write(folder, {"offset": end, "done": False})


def finish(folder: Path) -> None:
    """Write down that the run is over, and forget its checkpoints; going on with it once more adds nothing."""
    _write(folder, {"offset": 0, "done": True})
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _write(folder: Path, note: dict[str, int | bool]) -> None:
    partial = folder / f"{NOTE}.partial"
    partial.write_text(json.dumps(note), encoding="utf-8")
    os.replace(partial, folder / NOTE)


def is_complete(config: Config, folder: Path) -> bool:
    """Tell whether a run that has left no checkpoint is over; else it has written nothing.

    Raises:
        HeadwaterError: it is neither: its checkpoints are lost.
    """
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False  # killed before it began
    if note["done"]:
        return True
    values = _read_from(config, note["offset"])
    if values and not json.loads(values[-1]).get("final"):
        raise HeadwaterError(
            f"a run until the end wrote {len(values)} lines to {config.metrics.topic} and left no checkpoint in "
            f"{folder}; it cannot go on without doubling them; make new output topics, and start without --resume"
        )
    return bool(values)


def _end(consumer: object, config: Config) -> int:
    from confluent_kafka import TopicPartition

    topic = TopicPartition(config.metrics.topic, _PARTITION)
    return int(consumer.get_watermark_offsets(topic, timeout=_WAIT_S)[1])  # type: ignore[attr-defined]


def _read_from(config: Config, start: int) -> list[bytes]:
    """Return the committed metrics from an offset on."""
    from confluent_kafka import KafkaError, TopicPartition

    consumer = open_consumer(config.kafka.bootstrap, config.kafka.properties, group=f"{config.name}-until-end")
    values: list[bytes] = []
    try:
        consumer.assign([TopicPartition(config.metrics.topic, _PARTITION, start)])
        while (message := consumer.poll(_WAIT_S)) is not None:
            if message.error() is None:
                values.append(message.value())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                break
            else:
                raise HeadwaterError(f"topic {config.metrics.topic} cannot be read: {message.error().str()}")
    finally:
        consumer.close()
    return values
