"""What the oracle says of a live log, and whether readers of the topics see just that."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jobs.catalogues import decode_change, load_catalogue
from jobs.config import Config
from models.vectors import read_vectors
from online.catalogue import ItemChange
from online.learner import Learner
from online.loop import run_loop
from online.outputs import Message, dead_letter_message, list_message, metrics_message
from online.session import DeadLetter
from tests.jobs.live_log import Sent


class Expected(NamedTuple):
    """What the oracle says about the same records."""

    lists: list[Message]
    dead_letters: list[Message]
    metrics: list[Message]
    final: dict[str, Any]


def oracle(config: Config, vectors: Path, log: Iterable[Sent], changes: Iterable[Sent]) -> Expected:
    """Run the loop over the records in the order of partition and offset, with the same changes."""
    settings = config.settings()
    catalogue = load_catalogue(vectors, settings)
    decoded = [
        decode_change(sent.record[:5], catalogue.model_id, read_vectors(vectors).vectors.shape[1]) for sent in changes
    ]
    usable = [change for change in decoded if isinstance(change, ItemChange)]
    refused = [change for change in decoded if isinstance(change, DeadLetter)]
    lists, metrics = [], []
    dead = [dead_letter_message(config.vectors.topic, letter) for letter in refused]
    for result in run_loop((sent.record for sent in log), Learner(settings, catalogue), settings, usable):
        lists += [list_message(made) for made in result.lists]
        dead += [dead_letter_message(config.events.topic, letter) for letter in result.dead]
        metrics += [metrics_message("", line) for line in (result.metrics, result.final) if line is not None]
    return Expected(lists, dead, metrics, json.loads(metrics[-1].value))


def lists_over(config: Config, expected: Expected, log: Iterable[Sent]) -> list[Message]:
    """Return the lists of the ticks that a job is done with once it has read all of the log and waits for more."""
    newest: dict[int, int] = {}
    for sent in log:
        newest[sent.record.partition] = max(newest.get(sent.record.partition, 0), sent.record.at_ms)
    over_ms = min(newest.values()) - config.events.lateness_ms - 1
    return [made for made in expected.lists if json.loads(made.value)["at"] <= over_ms]


def assert_equal_messages(expected: Iterable[Message], found: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Hold that the same messages are there, each as often."""
    wanted: Counter[tuple[bytes | None, bytes | None]] = Counter((key, value) for key, value in expected)
    seen = Counter(found)
    assert not (lost := wanted - seen), f"{lost.total()} of {wanted.total()} are lost, as {next(iter(lost))!r:.300}"
    assert not (more := seen - wanted), f"{more.total()} too many, as {next(iter(more))!r:.300}"
