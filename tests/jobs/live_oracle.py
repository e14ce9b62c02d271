"""What the oracle says of a live log, and whether readers of the topics see just that."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jobs.catalogues import decode_change, load_catalogue
from jobs.config import Config
from models.vectors import read_vectors
from online.catalogue import ItemChange
from online.outputs import Message, dead_letter_message
from online.session import DeadLetter
from tests.faults.checker import Outcome, Seen, check
from tests.faults.oracle import oracle as core_oracle
from tests.jobs.live_log import Sent


class Expected(NamedTuple):
    """What the oracle says about the same records."""

    outcome: Outcome
    metrics: list[Message]
    final: dict[str, Any]

    @property
    def lists(self) -> list[Seen]:
        """All lists, tick after tick."""
        return list(self.outcome.lists)

    @property
    def dead_letters(self) -> list[Seen]:
        """All dead letters."""
        return list(self.outcome.dead_letters)


def oracle(config: Config, vectors: Path, log: Iterable[Sent], changes: Iterable[Sent]) -> Expected:
    """Run the loop over the records in the order of partition and offset, with the same changes."""
    settings = config.settings()
    catalogue = load_catalogue(vectors, settings)
    decoded = [
        decode_change(sent.record[:5], catalogue.model_id, read_vectors(vectors).vectors.shape[1]) for sent in changes
    ]
    usable = [change for change in decoded if isinstance(change, ItemChange)]
    refused = [
        dead_letter_message(config.vectors.topic, change) for change in decoded if isinstance(change, DeadLetter)
    ]
    records = [sent.record for sent in log]
    found = core_oracle(records, settings, catalogue, config.events.topic, usable, refused)
    return Expected(found.outcome, found.metrics, json.loads(found.metrics[-1].value))


def lists_over(config: Config, expected: Expected, log: Iterable[Sent]) -> list[Seen]:
    """Return the lists of the ticks that a job is done with once it has read all of the log and waits for more."""
    newest: dict[int, int] = {}
    for sent in log:
        newest[sent.record.partition] = max(newest.get(sent.record.partition, 0), sent.record.at_ms)
    over_ms = min(newest.values()) - config.events.lateness_ms - 1
    return [made for made in expected.lists if json.loads(made.value or b"")["at"] <= over_ms]


def assert_right(
    lists: Iterable[Seen], found: Iterable[Seen], dead: Iterable[Seen] = (), found_dead: Iterable[Seen] = ()
) -> None:
    """Hold that readers see just these lists and dead letters, each once, and each user's in order."""
    verdict = check(Outcome(list(lists), list(dead), {}), Outcome(list(found), list(found_dead), {}))
    assert verdict, str(verdict)
