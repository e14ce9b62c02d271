"""A live job under test: its topics, the command as a process of its own, and what readers of its topics see."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from jobs.config import Config, load_config
from jobs.kafka_client import Admin
from jobs.topics import FOREVER, Topic, create, plan
from online.record import Record
from tests.faults.checker import Seen

ROOT = Path(__file__).parents[2]
START_S, END_S = 120.0, 240.0  # on cores shared with others
STARTED = (" started\n", " goes on from ")


def kept_whole(topic: Topic) -> Topic:
    """Return the topic without compaction: event times span weeks, so a broker rolls its segments and compacts soon."""
    policy = {"cleanup.policy": "delete", "retention.ms": str(FOREVER), "retention.bytes": str(FOREVER)}
    return replace(topic, settings={**topic.settings, **policy})


class LiveJob:
    """One job on fresh topics; what it started is ended with the block."""

    def __init__(self, kafka: str, folder: Path, name: str, partitions: int, more: str = "") -> None:
        """Make the topics.

        Args:
            kafka: the broker.
            folder: for the configuration, the state and the logs.
            name: of the job, and in its topics' names.
            partitions: of the events and the lists.
            more: lines of `[flink]`.
        """
        self.folder = folder
        self.file = folder / "job.toml"
        tables = ("events", "vectors", "lists", "dead_letters", "metrics")
        keys = {"events": 'lateness = "6h"\n', "lists": 'tick = "2h"\n'}
        text = "".join(f'[{table}]\ntopic = "{name}.{table}"\n{keys.get(table, "")}' for table in tables)
        flink = f'[flink]\ncheckpoints = "state"\n{more}'
        self.file.write_text(f'name = "{name}"\n{text}[kafka]\nbootstrap = "{kafka}"\n{flink}')
        self.config: Config = load_config(self.file)
        create(Admin(kafka), [kept_whole(topic) for topic in plan(self.config, partitions, retention_ms=FOREVER)])
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "LiveJob":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
                child.wait()

    @property
    def state(self) -> Path:
        """The job's folder."""
        return self.folder / "state"

    @property
    def log(self) -> Path:
        """What the newest run tells."""
        return self.folder / f"run-{len(self._children)}.log"

    def send(self, topic: str, records: Iterable[Record]) -> None:
        """Append records; each must come to the offset that it says."""
        from confluent_kafka import Producer

        producer = Producer(
            {"bootstrap.servers": self.config.kafka.bootstrap, "message.max.bytes": 8 << 20, "linger.ms": 20}
        )
        wrong: list[object] = []

        def check(record: Record) -> Callable[[Any, Any], None]:
            def told(error: Any, message: Any) -> None:
                if error or message.offset() != record.offset:
                    wrong.append((record[:3], error, message.offset()))

            return told

        for record in records:
            where = {"partition": record.partition, "timestamp": record.at_ms, "on_delivery": check(record)}
            producer.produce(topic, key=record.key, value=record.value, **where)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert wrong == []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `headwater run`; return at once."""
        command = [sys.executable, "-m", "jobs.cli", "run", "--config", str(self.file), *arguments]
        with (self.folder / f"run-{len(self._children) + 1}.log").open("wb") as log:
            self._children.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
        return self._children[-1]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the command to its end; return its exit status and what it told."""
        status = self.start(*arguments).wait(END_S)
        return status, self.log.read_text()

    def wait_for(self, what: Callable[[], bool], limit_s: float = START_S) -> None:
        """Wait until something holds while the newest run lives."""
        deadline = time.monotonic() + limit_s
        while not what():
            assert self._children[-1].poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.3)

    def wait_until_started(self) -> None:
        """Wait until Flink has taken the job."""
        self.wait_for(lambda: any(said in self.log.read_text() for said in STARTED))

    def end(self, number: int) -> tuple[int, str]:
        """Signal the newest run and wait; return its exit status and what it told."""
        self._children[-1].send_signal(number)
        return self._children[-1].wait(60), self.log.read_text()

    def kill(self) -> None:
        """End the newest run as the system would; whatever it started is left."""
        self.end(signal.SIGKILL)

    def crash(self) -> None:
        """End the newest run as the system would; its JVM follows by itself."""
        jvm = self.jvm()
        self.end(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{jvm}").exists():
            assert time.monotonic() < deadline, "the JVM outlives its parent"
            time.sleep(0.1)

    def jvm(self) -> int:
        """Return the process id of the newest run's JVM."""
        pid = self._children[-1].pid
        [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)

    def read(self, topic: str) -> list[Seen]:
        """Return what a reader of committed records sees, partition by partition."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.config.kafka.bootstrap,
                "group.id": "test",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        found: dict[int, list[Seen]] = {partition: [] for partition in partitions}
        left = set(partitions)
        deadline = time.monotonic() + 60
        while left:
            for message in consumer.consume(10_000, timeout=0.2):
                if message.error():
                    left.discard(message.partition())
                else:
                    seen = Seen(message.key(), message.value(), message.partition(), message.offset())
                    found[seen.partition].append(seen)
            assert time.monotonic() < deadline, f"{topic} does not end: an open transaction?"
        consumer.close()
        return [seen for partition in sorted(found) for seen in found[partition]]
