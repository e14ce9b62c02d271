"""The one oracle of every test: the plain-Python loop over the same log, its outputs and its final state as bytes."""

from collections.abc import Iterable
from typing import NamedTuple

from online.catalogue import Catalogue, ItemChange
from online.learner import Learner
from online.loop import fold_ticks, run_loop
from online.outputs import Message, dead_letter_message, list_message, metrics_message
from online.record import Record
from online.session import DeadLetter
from online.settings import Settings
from state.tables import Tables, encode_tables
from state.user import UserState, encode_user
from tests.faults.checker import Outcome, Seen


class Expected(NamedTuple):
    """What the oracle says of a log."""

    outcome: Outcome
    metrics: list[Message]  # the last one holds the totals


def oracle(
    records: Iterable[Record],
    settings: Settings,
    catalogue: Catalogue,
    topic: str,
    changes: Iterable[ItemChange] = (),
    refused: Iterable[Message] = (),
) -> Expected:
    """Run the loop.

    Args:
        records: of the events, in the order of each partition.
        settings: of the loop.
        catalogue: the initial one; it is the learner's from now on.
        topic: of the events, as dead letters name it.
        changes: of the catalogue that can be used.
        refused: dead letters of those that cannot.
    """
    log = list(records)
    learner = Learner(settings, catalogue)
    lists: list[Message] = []
    dead = list(refused)
    metrics: list[Message] = []
    for result in run_loop(log, learner, settings, changes):
        lists += map(list_message, result.lists)
        dead += (dead_letter_message(topic, letter) for letter in result.dead)
        metrics += [
            metrics_message(settings.domain, line) for line in (result.metrics, result.final) if line is not None
        ]
    users: dict[str, UserState] = {}
    for _, folded in fold_ticks(log, settings):
        users |= folded.states
    state = state_bytes({user: encode_user(kept) for user, kept in users.items()}, learner.tables())
    return Expected(Outcome(as_seen(lists), as_seen(dead), state), metrics)


def state_bytes(users: dict[str, bytes], tables: Tables) -> dict[str, bytes]:
    """Return all state under names: each user's bytes, each block of the learner's tables."""
    return {
        **{f"user {user}": raw for user, raw in users.items()},
        **{f"table {key}": raw for key, raw in encode_tables(tables)},
    }


def dead_letter(topic: str, record: Record, reason: str) -> Seen:
    """Return the dead letter that a record must become."""
    return Seen(*dead_letter_message(topic, DeadLetter(record, reason)))


def as_seen(messages: Iterable[Message]) -> list[Seen]:
    """Return messages as a reader would see them, in one partition."""
    return [Seen(key, value, 0, offset) for offset, (key, value) in enumerate(messages)]
