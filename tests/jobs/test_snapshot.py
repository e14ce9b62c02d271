"""The initial catalogue is what the vectors topic says last about each item, of one model only."""

import uuid
from pathlib import Path

import numpy as np
import pytest

from jobs.config import Config, Events, Items, Kafka, Vectors
from jobs.kafka_client import Admin
from jobs.snapshot import freeze_vectors
from models.vectors import VectorRecord, encode_record, read_vectors
from state.errors import HeadwaterError

pytestmark = pytest.mark.kafka

Sent = tuple[int, bytes | None, bytes | None]  # partition, key, value


def config_for(kafka: str, sent: list[Sent], transaction: str = "") -> Config:
    """Return the configuration of a fresh topic with two partitions and these records."""
    from confluent_kafka import Producer

    name = f"snapshot-{uuid.uuid4().hex[:8]}"
    Admin(kafka).create_topic(name, 2, 1, {})
    producer = Producer({"bootstrap.servers": kafka, **({"transactional.id": name} if transaction else {})})
    if transaction:
        producer.init_transactions(30)
        producer.begin_transaction()
    for partition, key, value in sent:
        producer.produce(name, partition=partition, key=key, value=value)
    if transaction:
        getattr(producer, f"{transaction}_transaction")(30)
    assert producer.flush(30) == 0
    return Config(
        name=name,
        events=Events(topic="events"),
        items=Items(topic="catalogue"),
        vectors=Vectors(topic=name),
        kafka=Kafka(bootstrap=kafka),
    )


def vector(first: float, model: str = "m", dim: int = 4, available_at_ms: int = 0) -> bytes:
    """Return the value of a record."""
    numbers = np.zeros(dim, np.float32)
    numbers[0] = first
    return encode_record(VectorRecord(model, "00", available_at_ms, numbers))


def test_the_newest_vector_counts(kafka: str, tmp_path: Path) -> None:
    """Of an item's records the last one holds; a null retires it, until a vector follows."""
    config = config_for(
        kafka,
        [
            (0, b"a", vector(1)),
            (1, b"b", vector(2)),
            (0, b"a", vector(3, available_at_ms=99)),
            (1, b"gone", vector(4)),
            (1, b"gone", None),
            (0, b"back", None),
            (0, b"back", vector(5)),
            (1, b"never", None),
        ],
    )

    assert freeze_vectors(config, tmp_path / "v") == 3

    found = read_vectors(tmp_path / "v")
    assert found.model_id == "m"
    at = {item: row for row, item in enumerate(found.items)}
    assert {"a": 3.0, "b": 2.0, "back": 5.0} == {item: found.vectors[row, 0] for item, row in at.items()}
    assert {"a": 99, "b": 0, "back": 0} == {item: found.available_at_ms[row] for item, row in at.items()}


def test_what_is_unusable_is_left_out(kafka: str, tmp_path: Path) -> None:
    """Bytes that are no vector, keys that are no text and vectors of fewer items' models are the job's to refuse."""
    config = config_for(
        kafka,
        [
            (0, b"a", vector(1)),
            (0, b"b", vector(2)),
            (0, b"b", b"damaged"),  # the vector before it holds
            (1, b"c", b""),
            (1, b"\xff", vector(3)),
            (1, b"", vector(3)),
            (1, None, vector(3)),
            (1, b"longer", vector(4, dim=5)),
            (1, b"other", vector(5, model="newer")),
        ],
    )

    assert freeze_vectors(config, tmp_path / "v") == 2

    assert sorted(read_vectors(tmp_path / "v").items) == ["a", "b"]


def test_committed_records_alone_are_read(kafka: str, tmp_path: Path) -> None:
    """What was committed is read to its end, though the last offset is a marker; what was taken back never was."""
    assert freeze_vectors(config_for(kafka, [(0, b"a", vector(1))], "commit"), tmp_path / "v") == 1

    with pytest.raises(HeadwaterError, match="holds no vector"):
        freeze_vectors(config_for(kafka, [(0, b"a", vector(1))], "abort"), tmp_path / "w")


@pytest.mark.parametrize("sent", [[], [(0, b"a", None)], [(1, b"a", b"damaged")]])
def test_no_vector_is_an_error(kafka: str, tmp_path: Path, sent: list[Sent]) -> None:
    """Without vectors there is no catalogue; the text names the command that makes them."""
    config = config_for(kafka, sent)

    with pytest.raises(HeadwaterError) as caught:
        freeze_vectors(config, tmp_path / "v")

    assert f"headwater encode --from-topic catalogue --to-topic {config.vectors.topic}" in str(caught.value)
    assert not (tmp_path / "v").exists()
