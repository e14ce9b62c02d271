"""Events per second of `headwater run`, Kafka to Kafka exactly once, with the broker on the same machine.

    python -m tests.bench.kafka_loop --events 200000
    python -m tests.bench.kafka_loop --beside ANOTHER_JOB.py    # in turn with it, on a topic of the same shape

Another job is called as `python ANOTHER_JOB.py thread TOPIC TICK_S SHARDS ITEMS 1 bounded`, the broker in BOOTSTRAP;
it reads TOPIC to its end and writes JSON with the key "made" (Unix s) to TOPIC-out.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from jobs.broker import Broker, free_port
from jobs.config import load_config
from jobs.kafka_client import Admin
from jobs.topics import FOREVER, create, plan
from models.vectors import VectorRecord, encode_record, text_sha256

ITEMS, USERS, DIM = 5000, 20_000, 384
EVENT_RATE = 20_000  # events per s of event time
TICK_S, LATENESS_S, SHARDS, PARTITIONS = 0.1, 0.05, 16, 2
START_MS = 1_700_000_000_000
ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mode", choices=("thread", "process"), default="thread")
    parser.add_argument("--learning", default="", metavar="TOML", help='settings of [learning], as "batch = 128"')
    parser.add_argument("--beside", type=Path, help="another job to time in turn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "broker", free_port()) as broker:
        for number in range(args.rounds):
            round_folder = Path(folder) / str(number)
            round_folder.mkdir()
            _tell("headwater", args.events, *_ours(broker.bootstrap, round_folder, number, args))
            if args.beside:
                _tell(args.beside.name, args.events, *_beside(broker.bootstrap, number, args.events, args))
    return 0


def _tell(name: str, events: int, whole_s: float, working_s: float) -> None:
    load = os.getloadavg()[0]
    print(
        f"{name}: {events:,} events; job submitted to its end {whole_s:.1f} s, {events / whole_s:,.0f} events/s; "
        f"first output to the last {working_s:.1f} s, {events / working_s:,.0f} events/s; load {load:.1f}",
        flush=True,
    )


def _ours(bootstrap: str, folder: Path, number: int, args: Any) -> tuple[float, float]:
    """Return the seconds from the job's start to its end, and from its first tick learned to its end."""
    name = f"bench-{number}"
    tables = "".join(f'[{t}]\ntopic = "{name}-{t}"\n' for t in ("vectors", "dead_letters", "metrics"))
    file = folder / "job.toml"
    file.write_text(
        f'name = "{name}"\n{tables}[events]\ntopic = "{name}"\nlateness = "{LATENESS_S * 1000:g}ms"\n'
        f'[lists]\ntopic = "{name}-out"\ntick = "{TICK_S * 1000:g}ms"\n[kafka]\nbootstrap = "{bootstrap}"\n'
        f'[flink]\nshards = {SHARDS}\ncheckpoint_interval = "1s"\n'
        f"[learning]\n{args.learning}\n"
    )
    config = load_config(file)
    create(Admin(bootstrap), plan(config, PARTITIONS, retention_ms=FOREVER))
    _send_vectors(bootstrap, config.vectors.topic)
    _send_events(bootstrap, name, args.events)
    command = [sys.executable, "-m", "jobs.cli", "run", "--config", str(file), "--until-end", "--mode", args.mode]
    started = 0.0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as job:
        for line in job.stderr or ():
            if line.endswith(" started\n"):
                started = time.monotonic()
            elif line.endswith(" is done\n"):
                whole_s = time.monotonic() - started
            elif "error" in line:
                sys.exit(line)
    metrics = [message.timestamp()[1] for message in _read(bootstrap, f"{name}-metrics")]
    if job.returncode or len(metrics) < 2:
        sys.exit(f"headwater run failed with status {job.returncode}")
    return whole_s, (max(metrics) - min(metrics)) / 1000


def _beside(bootstrap: str, number: int, events: int, args: Any) -> tuple[float, float]:
    """Return what the other job says it took, and the seconds from its first output to its last."""
    topic = f"beside-{number}"
    for name in (topic, f"{topic}-out"):
        Admin(bootstrap).create_topic(name, PARTITIONS, 1, {"retention.ms": str(FOREVER)})
    _send_events(bootstrap, topic, events)
    command = [
        sys.executable,
        str(args.beside),
        args.mode,
        topic,
        f"{TICK_S:g}",
        str(SHARDS),
        str(ITEMS),
        "1",
        "bounded",
    ]
    done = subprocess.run(
        command, env={**os.environ, "BOOTSTRAP": bootstrap}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    made = [json.loads(message.value())["made"] for message in _read(bootstrap, f"{topic}-out")]
    return float(done.stdout.split()[-1]), max(made) - min(made)


def _send_vectors(bootstrap: str, topic: str) -> None:
    vectors = np.random.default_rng(1).normal(size=(ITEMS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    producer = _producer(bootstrap)
    for number, vector in enumerate(vectors):
        item = f"i{number}"
        value = encode_record(VectorRecord("bench", text_sha256(item), 0, vector))
        producer.produce(topic, key=item, value=value, timestamp=START_MS - 1)
        producer.poll(0)
    producer.flush()


def _send_events(bootstrap: str, topic: str, events: int) -> None:
    """Send events of a popularity that falls with the square, users at random."""
    chance = random.Random(1)
    producer = _producer(bootstrap)
    for number in range(events):
        user, item = f"u{chance.randrange(USERS)}", f"i{int(ITEMS * chance.random() ** 2)}"
        at_ms = START_MS + number * 1000 // EVENT_RATE
        event = {"event_id": f"e{number}", "user": user, "item": item, "action": "click", "ts": at_ms}
        while True:
            try:
                producer.produce(topic, key=user, value=json.dumps(event), timestamp=at_ms)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()


def _producer(bootstrap: str) -> Any:
    from confluent_kafka import Producer

    return Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True})


def _read(bootstrap: str, topic: str) -> list[Any]:
    from confluent_kafka import TopicPartition

    from jobs.kafka_client import open_consumer

    consumer = open_consumer(bootstrap, {}, group="bench")
    partitions = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    found = []
    while partitions:
        for message in consumer.consume(10_000, timeout=1):
            if message.error():
                partitions.discard(message.partition())
            else:
                found.append(message)
    consumer.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
