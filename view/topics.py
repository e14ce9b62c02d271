"""The feed of a live job: its output topics, read as committed, from the positions that the store holds."""

import time
from typing import Any

from jobs.config import Config
from jobs.kafka_client import open_consumer
from state.errors import HeadwaterError
from view.arrivals import STREAMS, Arrived, Batch, Lag, Stream

_MOST = 2000  # records of a batch
_ANSWER_S = 10.0  # of one question to the broker
_JOB_LAG_S = 2.0  # between two questions for the job's lag


class TopicFeed:
    """Reads all partitions of the lists, metrics and dead letters, and of the items and vectors where there are any."""

    live = True

    def __init__(self, config: Config) -> None:
        """Ask the broker for the topics.

        Raises:
            HeadwaterError: the broker does not answer, or a topic is not named or not there.
        """
        tables = {stream: getattr(config, stream).topic for stream in STREAMS}
        if missing := [f"{stream}.topic" for stream in ("lists", "metrics") if not tables[stream]]:
            raise HeadwaterError(
                f"the configuration names no {' and no '.join(missing)}; the view reads the job's output topics; "
                "add them (examples/live/job.toml has all), or use --replay DIR for a replay's folder"
            )
        self.caught_up = False
        self._config = config
        self._streams: dict[str, Stream] = {topic: stream for stream, topic in tables.items() if topic}
        kafka = config.kafka
        self._consumer = open_consumer(kafka.bootstrap, kafka.properties, group=f"{config.name}-view")
        self._job = open_consumer(kafka.bootstrap, kafka.properties, group=config.name)  # reads nothing, asks for lag
        there = self._consumer.list_topics(timeout=_ANSWER_S).topics
        if absent := [topic for topic in self._streams if topic not in there]:
            raise HeadwaterError(
                f"Kafka at {kafka.bootstrap} has no topic {', '.join(absent)}; "
                "make them with headwater topics create --config, or correct their names"
            )
        self._partitions = [(topic, number) for topic in self._streams for number in there[topic].partitions]
        events = config.events.topic
        self._events = [(events, number) for number in there[events].partitions] if events in there else []
        self._ends: dict[tuple[str, int], int] = {}  # position behind the last record, once it was reached
        self._next: dict[tuple[str, int], int] = {}
        self._job_lag: tuple[float, int | None] = (-_JOB_LAG_S, None)

    def open(self, positions: dict[str, int]) -> bool:
        """Go to the positions; see `view.arrivals.Feed`."""
        from confluent_kafka import TopicPartition

        starts, whole = [], True
        for topic, number in self._partitions:
            at = positions.get(f"{self._streams[topic]}/{number}", 0)
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_S)
            whole = whole and at <= high  # else the topic was made anew
            self._next[topic, number] = at
            starts.append(TopicPartition(topic, number, at))
        if whole:
            self._consumer.assign(starts)
        return whole

    def read(self, wait_s: float) -> Batch:
        """Return what has come; see `view.arrivals.Feed`."""
        from confluent_kafka import KafkaError

        records, positions = [], {}
        for message in self._consumer.consume(_MOST, wait_s):
            place = (message.topic(), message.partition())
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    self._ends[place] = self._next[place] = message.offset()
                continue  # librdkafka tries again by itself; a broker that stays away shows as lag that grows
            self._next[place] = message.offset() + 1
            stream = self._streams[place[0]]
            records.append(Arrived(stream, message.key(), message.value(), message.timestamp()[1]))
            positions[f"{stream}/{place[1]}"] = message.offset() + 1
        self.caught_up = self.caught_up or len(self._ends) == len(self._partitions)
        return Batch(records, positions)

    def lag(self) -> Lag:
        """Return what waits; see `view.arrivals.Feed`."""
        from confluent_kafka import TopicPartition

        waiting = 0
        for topic, number in self._partitions:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
            waiting += max(0, high - self._next[topic, number]) if self._ends.get((topic, number)) != high else 0
        now = time.monotonic()
        if now - self._job_lag[0] >= _JOB_LAG_S:
            self._job_lag = (now, self._ask_job_lag())
        return Lag(waiting, self._job_lag[1])

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()
        self._job.close()

    def _ask_job_lag(self) -> int | None:
        """Return how many events lie behind what the job has committed; None where it has committed nothing yet."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            partitions = [TopicPartition(topic, number) for topic, number in self._events]
            committed: list[Any] = self._job.committed(partitions, timeout=1.0) if partitions else []
            known = [each for each in committed if each.offset >= 0]
            if not known:
                return None
            waiting = 0
            for each in committed:
                low, high = self._job.get_watermark_offsets(TopicPartition(each.topic, each.partition), timeout=1.0)
                waiting += max(0, high - max(low, each.offset))
            return waiting
        except KafkaException:
            return None
