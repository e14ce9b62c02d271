"""`headwater run`: the loop live, Kafka to Kafka, until stopped; it goes on where it was when it is started again."""

import argparse
import dataclasses
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from jobs.config import Config, load_config
from jobs.flink_env import LOGS
from jobs.kafka_client import Admin
from jobs.modes import choose_mode
from jobs.one_pass import begin, finish, is_complete
from jobs.place import Place, open_place
from jobs.transaction_checks import add_accept_loss, require_transactions, require_whole
from state.errors import HeadwaterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", type=Path, metavar="F", required=True, help="job.toml with topics")
    parser.add_argument("--mode", choices=("auto", "thread", "process"), help="how Flink runs Python (auto)")
    parser.add_argument("--parallelism", type=int, metavar="N", help="of the Flink job (1)")
    parser.add_argument(
        "--until-end",
        action="store_true",
        help="one pass over all that the topics hold now; it neither uses nor changes what the job has learned so far",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="with --until-end: go on with the pass that was killed (without --until-end a run always goes on)",
    )
    parser.add_argument("--fresh", action="store_true", help="forget what the job has learned, and start anew")
    add_accept_loss(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    config = load_config(args.config, {"flink.mode": args.mode, "flink.parallelism": args.parallelism})
    check_vectors(config)
    check_topics(config)
    require_transactions(config)
    mode = choose_mode(config.flink.mode)
    if args.resume and args.fresh:
        raise HeadwaterError("--resume goes on and --fresh starts anew; expected one of them")
    place = open_place(config, mode, fresh=args.fresh, keep=not args.until_end, resume=args.resume)
    if args.until_end and args.resume and place.restore is None and is_complete(config, place.one_pass):
        finish(place.one_pass)
        _tell(config, f"all of {config.events.topic} was done already")
        return 0
    vectors = vectors_of(config, place)
    stop = _stop_signal()
    if told := require_whole(config, place.restore, place.folder / LOGS, accept_loss=args.accept_loss):
        _tell(config, told)
    return _run(config, mode, place, vectors, stop, bounded=args.until_end)


def check_vectors(config: Config) -> None:
    """Hold that the file of vectors, where one is named, is whole.

    Raises:
        HeadwaterError: it is not there, or no vector file.
    """
    if config.vectors.path is not None:
        from models.vectors import read_vectors

        read_vectors(config.vectors.path)


def check_topics(config: Config) -> None:
    """Hold that the job has all its topics before Flink, which takes minutes to say so, is started.

    Raises:
        HeadwaterError: a topic is not named or not there, or no broker answers.
    """
    named = {
        "events.topic": config.events.topic,
        "lists.topic": config.lists.topic,
        "dead_letters.topic": config.dead_letters.topic,
        "metrics.topic": config.metrics.topic,
    }
    unnamed = [key for key, topic in named.items() if not topic]
    if unnamed:
        raise HeadwaterError(
            f"the configuration names no {', '.join(unnamed)}; a live job reads and writes topics; "
            "add them (examples/live/job.toml has all), or use headwater replay for files"
        )
    if config.vectors.path is None and not config.vectors.topic:
        raise HeadwaterError("the configuration names no vectors; set vectors.topic, or vectors.path to a file")
    wanted = [*named.values(), *([config.vectors.topic] if config.vectors.topic else [])]
    there = Admin(config.kafka.bootstrap, config.kafka.properties).topics()
    missing = [topic for topic in wanted if topic not in there]
    if missing:
        raise HeadwaterError(
            f"Kafka at {config.kafka.bootstrap} has no topic {', '.join(missing)}; "
            "make them with headwater topics create --config, or correct their names"
        )


def vectors_of(config: Config, place: Place) -> Path:
    """Return the file of the initial catalogue: the named one, or the topic's, frozen when the job first starts."""
    if config.vectors.path is not None:
        return config.vectors.path.absolute()  # Flink works in another folder
    if not place.vectors.exists():
        from jobs.snapshot import freeze_vectors

        count = freeze_vectors(config, place.vectors)
        _tell(config, f"catalogue of {count:,} items from {config.vectors.topic}, kept in {place.vectors}")
    return place.vectors


def _stop_signal() -> threading.Event:
    """Return what SIGTERM and SIGINT set; the second one ends the process at once, as if it had crashed."""
    stop = threading.Event()

    def told(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    return stop


def _run(config: Config, mode: str, place: Place, vectors: Path, stop: threading.Event, *, bounded: bool) -> int:
    if bounded and place.restore is None:
        begin(config, place.one_pass)
    job = _start(config, mode, place, vectors, stop, bounded=bounded)
    if job is None:
        return 0
    came_from = "started" if place.restore is None else f"goes on from {place.restore}"
    _tell(config, f"{config.events.topic} -> {config.lists.topic}, {mode} mode, {came_from}")
    while not job.is_over() and not stop.wait(0.2):
        pass
    if job.is_over():
        job.wait()
        if bounded:
            finish(place.one_pass)
        _tell(config, f"all of {config.events.topic} is done")
    elif bounded:
        job.cancel()
        raise HeadwaterError("stopped before the end; the lists so far are in the topic; go on with --resume")
    else:
        _stop(config, job, place)
    return 0


def _start(config: Config, mode: str, place: Place, vectors: Path, stop: threading.Event, *, bounded: bool) -> Any:
    """Start the job; return None when `stop` came first."""
    from jobs.flink_engine import real_workers
    from jobs.flink_env import open_flink, start
    from jobs.live import build_live

    real_workers()
    checkpoints = place.one_pass if bounded else place.checkpoints
    placed = dataclasses.replace(config, flink=dataclasses.replace(config.flink, checkpoints=checkpoints))
    flink = open_flink(placed, mode, place.folder, place.restore)
    build_live(flink, config, vectors, mode, bounded=bounded, restore=place.restore)
    return None if stop.is_set() else start(flink, config.name)


def _stop(config: Config, job: Any, place: Place) -> None:
    """Stop with a savepoint; where none can be made (the job is just starting, say), the last checkpoint must do."""
    _tell(config, "stopping")
    try:
        saved = job.stop(place.savepoints)
    except HeadwaterError as error:
        job.cancel()
        _tell(config, f"stopped without a savepoint ({error}); the next run goes on from the last checkpoint")
    else:
        _tell(config, f"stopped; the next run goes on from {saved}")


def _tell(config: Config, what: str) -> None:
    print(f"{config.name}: {what}", file=sys.stderr, flush=True)
