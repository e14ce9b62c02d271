"""The outputs of the job: files or topics, exactly once, visible with each checkpoint."""

from pathlib import Path
from typing import Any

from jobs.config import Config
from jobs.sources import client_properties

PART, SUFFIX = "part", ".jsonl"


def to_files(stream: Any, folder: Path, name: str) -> None:
    """Write lines to `folder`: PART-ID-NUMBER.jsonl, a new file with each checkpoint, finished ones only.

    What a crash left unfinished has a name that starts with a dot.

    Args:
        stream: of texts.
        folder: made when there is something to write.
        name: of the operator, and so of its state.
    """
    from pyflink.common.serialization import Encoder
    from pyflink.datastream.connectors.file_system import BucketAssigner, FileSink, OutputFileConfig, RollingPolicy

    sink = (
        FileSink.for_row_format(folder.absolute().as_uri(), Encoder.simple_string_encoder("UTF-8"))
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
        .with_output_file_config(OutputFileConfig.builder().with_part_prefix(PART).with_part_suffix(SUFFIX).build())
        .build()
    )
    _one(stream, sink, name)


def to_topic(stream: Any, config: Config, topic: str, name: str) -> None:
    """Send rows (key, value) to a topic; readers with isolation.level=read_committed see each exactly once.

    Args:
        stream: of ROW([bytes, bytes]).
        config: of the job; its name, with `name`, is the prefix of the transactions and so never changes: after a
            crash, the next start finds the open ones by it and ends them.
        topic: that is there already.
        name: of the operator, and so of its state.
    """
    from pyflink.common.serialization import RowFieldExtractorSchema
    from pyflink.datastream.connectors.base import DeliveryGuarantee
    from pyflink.datastream.connectors.kafka import KafkaRecordSerializationSchema, KafkaSink
    from pyflink.java_gateway import get_gateway

    record = (
        KafkaRecordSerializationSchema.builder()
        .set_topic(topic)
        .set_key_serialization_schema(RowFieldExtractorSchema(0))
        .set_value_serialization_schema(RowFieldExtractorSchema(1))
        .build()
    )
    builder = (
        KafkaSink.builder()
        .set_bootstrap_servers(config.kafka.bootstrap)
        .set_record_serializer(record)
        .set_delivery_guarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .set_transactional_id_prefix(f"{config.name}-{name}")
    )
    properties = {
        "compression.type": "lz4",  # lists of one tick resemble each other; lz4 costs least
        "max.request.size": str(16 << 20),  # bytes; a dead letter holds a whole record as base64
        **client_properties(config),
        "transaction.timeout.ms": str(config.kafka.transaction_timeout_ms),
    }
    for key, value in properties.items():
        builder.set_property(key, value)
    # The default makes a new transactional id with each checkpoint, and a broker remembers each for 7 days.
    strategies = get_gateway().jvm.org.apache.flink.connector.kafka.sink.TransactionNamingStrategy
    builder._j_builder.setTransactionNamingStrategy(strategies.POOLING)
    _one(stream, builder.build(), name)


def _one(stream: Any, sink: Any, name: str) -> None:
    """Add a sink with one writer, which keeps the order of a stream that comes from one operator."""
    stream.sink_to(sink).set_parallelism(1).name(name).uid(name)
