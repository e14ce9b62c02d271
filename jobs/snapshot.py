"""The initial catalogue of a live job: what the vectors topic holds when the job first starts, frozen into a file."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from jobs.catalogues import item_of
from jobs.config import Config
from jobs.kafka_client import open_consumer
from models.vectors import ItemVectors, VectorRecord, decode_record, write_vectors
from state.errors import CorruptBytes, HeadwaterError, UnknownSchema

_WAIT_S = 10.0  # for the next records of a topic that is known to have more


def freeze_vectors(config: Config, path: Path) -> int:
    """Write the newest vector of each item on the vectors topic to `path`; return how many there are.

    Two models' vectors never meet: those of the model with the most items are taken. The others, and what cannot be
    read, the job dead-letters, which reads the topic too.

    Raises:
        HeadwaterError: the broker does not answer, or the topic holds no vector.
    """
    found: dict[str, VectorRecord] = {}
    for key, value in _read_all(config):
        item = item_of(key)
        if value is None:
            found.pop(item, None)
            continue
        with suppress(CorruptBytes, UnknownSchema):
            found[item] = decode_record(value)
    found.pop("", None)
    if not found:
        raise HeadwaterError(
            f"topic {config.vectors.topic} at {config.kafka.bootstrap} holds no vector; expected the items'; start "
            f"the encoder first: headwater encode --from-topic {config.items.topic or 'items'} "
            f"--to-topic {config.vectors.topic}"
        )
    models = Counter(_model(record) for record in found.values())
    [(model, _)] = models.most_common(1)
    kept = {item: record for item, record in found.items() if _model(record) == model}
    write_vectors(
        path,
        ItemVectors(
            model[0],
            tuple(kept),
            np.stack([record.vector for record in kept.values()]),
            np.array([record.available_at_ms for record in kept.values()], np.int64),
        ),
    )
    return len(kept)


def _model(record: VectorRecord) -> tuple[str, int]:
    return record.model_id, len(record.vector)


def _read_all(config: Config) -> Any:
    """Yield (key, value) of all records that the topic holds now, partition by partition in order."""
    from confluent_kafka import KafkaError, TopicPartition

    consumer = open_consumer(config.kafka.bootstrap, config.kafka.properties, group=f"{config.name}-snapshot")
    try:
        topic = config.vectors.topic
        partitions = consumer.list_topics(topic, timeout=_WAIT_S).topics[topic].partitions
        ends = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_WAIT_S)
            if high > low:
                ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
        while ends:
            message = consumer.poll(_WAIT_S)
            if message is None:
                raise HeadwaterError(f"topic {topic} stopped answering before its end; is the broker well? try again")
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:  # what follows the last record is a marker
                    ends.pop(message.partition(), None)
                    continue
                raise HeadwaterError(f"topic {topic} cannot be read: {message.error().str()}")
            yield message.key(), message.value()
            if message.offset() + 1 >= ends.get(message.partition(), 0):
                ends.pop(message.partition(), None)
    finally:
        consumer.close()
