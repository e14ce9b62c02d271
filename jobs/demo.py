"""`headwater demo`: broker, encoder, job, visitors and page on this machine, with one command, until Ctrl-C."""

import argparse
import csv
import gzip
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

from jobs.broker import Broker, free_port, require_free
from jobs.config import Config, load_config
from jobs.crew import Crew
from jobs.kafka_client import Admin, open_consumer
from jobs.sending import Sender
from jobs.simulate_topics import item_value
from jobs.topics import create, plan
from models.items import Columns, Item, load_items
from models.vectors import ItemVectors, write_vectors
from state.errors import HeadwaterError

EXAMPLE = Path(__file__).parents[1] / "examples" / "movietweetings"
ITEMS = 2000  # the films with the most ratings: MiniLM reads them in half a minute on two cores
VISITORS, VISITS = 300, 40.0  # visitors, and visits a second
PORT = 8321  # of the page
LIMIT_S = 300.0  # of one step
_POLL_S = 0.2
_ANSWER_S = 10.0
_OURS = ("broker", "state", "logs", "warm", "job.toml")  # in the folder; what an earlier demo left of these is removed

_JOB = """# Written by headwater demo.
name = "demo-live"

[events]
topic = "events"
lateness = "200ms"  # all producers are on this machine; a list waits for so long

[items]
topic = "items"

[vectors]
topic = "vectors"

[lists]
topic = "recommendations"
candidates = "unseen"
tick = "200ms"
why = true

[dead_letters]
topic = "dead-letters"

[metrics]
topic = "metrics"

[kafka]
bootstrap = "{bootstrap}"

[flink]
checkpoints = "state"
checkpoint_interval = "300ms"
"""

_WARM = """[events]
path = "events.csv"

[vectors]
path = "vectors.safetensors"

[lists]
candidates = "unseen"
tick = "20s"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--dir", type=Path, default=Path("out/demo-live"), help="for all it keeps (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="of the page (%(default)s)")
    parser.add_argument("--visitors", type=int, default=VISITORS, metavar="N", help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=VISITS, metavar="N", help="visits a second (%(default)g)")
    parser.add_argument("--items", type=int, default=ITEMS, metavar="N", help="films of the catalogue (%(default)s)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    if not EXAMPLE.is_dir():
        raise HeadwaterError(f"there is no {EXAMPLE}; expected a clone of the repository; run it from one")
    require_free(args.port)
    stop = _stop_signal()
    folder = args.dir.absolute()
    _clear(folder)
    broker = Broker(folder / "broker", free_port())
    try:
        with Crew(folder / "logs") as crew:
            _run(args, folder, broker, crew, stop)
            _tell("stopping")
    finally:
        broker.stop()
    _tell("stopped; nothing is left running")
    return 0


def _run(args: argparse.Namespace, folder: Path, broker: Broker, crew: Crew, stop: threading.Event) -> None:
    """Start one part after the other, and wait until told to stop."""
    started = time.monotonic()

    def wait_for(holds: Callable[[], bool], what: str) -> bool:
        """Wait until something holds; False where it is to stop."""
        deadline = time.monotonic() + LIMIT_S
        while not stop.is_set():
            crew.check()
            if holds():
                _tell(f"{time.monotonic() - started:5.0f} s  {what}")
                return True
            if time.monotonic() > deadline:
                raise HeadwaterError(f"{what} was not reached within {LIMIT_S:g} s; the logs are in {folder / 'logs'}")
            stop.wait(_POLL_S)
        return False

    _tell("starting; two to three minutes until the first lists, one when models and kernels are cached")
    broker.start()
    if not wait_for(lambda: True, f"broker at {broker.bootstrap}"):
        return
    job = folder / "job.toml"
    job.write_text(_JOB.format(bootstrap=broker.bootstrap), encoding="utf-8")
    config = load_config(job)
    create(Admin(broker.bootstrap), plan(config))
    more = ["--open"] if args.open else []
    crew.start("serve", "--config", str(job), "--clicks", "--port", str(args.port), *more)
    if not wait_for(lambda: crew.log_holds("serve", "the page is at"), f"page at http://127.0.0.1:{args.port}/"):
        return
    items = _films(args.items)
    _send(items, config)
    crew.start("encode", "--config", str(job))
    _warm(folder / "warm", crew)
    if not wait_for(lambda: _count(config, config.vectors.topic) >= len(items), f"{len(items):,} films encoded"):
        return
    if not wait_for(lambda: crew.is_done("replay"), "learner compiled"):
        return
    crew.start("run", "--config", str(job))
    if not wait_for(lambda: crew.log_holds("run", " started"), "job started"):
        return
    crew.start("simulate", "--config", str(job), "--visitors", str(args.visitors), "--rate", str(args.rate))
    if not wait_for(lambda: _count(config, config.lists.topic) > 0, "first lists; the curves move from now on"):
        return
    _tell(f"\nThe page: http://127.0.0.1:{args.port}/  Pick a visitor, or type a name of your own and click on films.")
    _tell("Visitors are named by their taste: drama-001 clicks on dramas. Ctrl-C stops all of it.")
    while not stop.wait(_POLL_S):
        crew.check()


def _stop_signal() -> threading.Event:
    """Return what the usual signals set."""
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, told)
    return stop


def _clear(folder: Path) -> None:
    """Make the folder, and remove what an earlier demo left in it, but nothing of anybody else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in _OURS)
        if foreign:
            raise HeadwaterError(f"{folder} holds {foreign[0]}, which is not ours; name an empty folder with --dir")
        for name in _OURS:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (folder / "logs").mkdir()
    except OSError as error:
        raise HeadwaterError(f"cannot keep a demo in {folder}: {error.strerror}; name another --dir") from None


def _films(most: int) -> list[Item]:
    """Return the films of the example with the most ratings."""
    with gzip.open(EXAMPLE / "events.csv.gz", "rt", encoding="utf-8", newline="") as file:
        counts = Counter(row["item"] for row in csv.DictReader(file))
    items = load_items(EXAMPLE / "items.csv", Columns("item", ("title", "genres")))
    return sorted(items, key=lambda item: (-counts[item.item], item.item))[:most]


def _warm(folder: Path, crew: Crew) -> None:
    """Compile the learner's kernels beside the encoder: a replay of a few made-up events, whose lists nobody needs."""
    folder.mkdir()
    items = tuple(f"i{number}" for number in range(50))
    vectors = np.random.default_rng(1).normal(size=(len(items), 8)).astype(np.float32)
    write_vectors(
        folder / "vectors.safetensors", ItemVectors("made-up", items, vectors, np.zeros(len(items), np.int64))
    )
    rows = [f"u{number % 7},i{number * number % 50},{1_700_000_000 + number}" for number in range(200)]
    (folder / "events.csv").write_text("\n".join(["user,item,ts", *rows, ""]), encoding="utf-8")
    (folder / "job.toml").write_text(_WARM, encoding="utf-8")
    line = ("--engine", "python", "--no-peers", "--why", "--out", str(folder / "out"))
    crew.start("replay", "--config", str(folder / "job.toml"), *line, ends=True)


def _send(items: list[Item], config: Config) -> None:
    sender = Sender(config, config.items.topic)
    now_ms = time.time_ns() // 1_000_000
    for item in items:
        sender.send(item.item.encode(), item_value(item), now_ms)
    sender.finish()


def _count(config: Config, topic: str) -> int:
    """Return how many offsets a topic has."""
    from confluent_kafka import TopicPartition

    consumer = open_consumer(config.kafka.bootstrap, {}, group="demo")
    try:
        partitions = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_S) for number in partitions
        ]
        return sum(high for _, high in ends)
    finally:
        consumer.close()


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
