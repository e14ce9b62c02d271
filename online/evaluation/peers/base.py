"""The contract of a peer, and a pass over a log that ranks each sampled event before every peer learns it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from online.evaluation.outcomes import Outcomes
from online.history import History
from online.kernels import UNRANKED
from online.loop import fold_ticks
from online.record import Record
from online.settings import Settings
from state.errors import HeadwaterError

SAMPLE = 20_000  # events that are ranked: the standard error of a hit rate of .25 is .003
SEED = 11


class Peer(Protocol):
    """A learner that others published; users and items are numbers below those it was made for."""

    name: str  # in reports

    def scores(self, user: int) -> NDArray[np.float64]:
        """Return the score of every item, shape (N,), -inf where there is none; it learns nothing."""
        ...

    def learn(self, user: int, item: int) -> None:
        """Learn one event."""
        ...


class _Event(NamedTuple):
    """One accepted event, with what its user could not be shown."""

    user: int
    item: int
    excluded: list[int]


def item_names(run: Outcomes, catalogue: Iterable[str]) -> list[str]:
    """Return the items by number: those of the run in their order, then what else the catalogue has."""
    return list(dict.fromkeys([*run.items, *catalogue]))


def rank_peers(
    peers: Sequence[Peer],
    records: Iterable[Record],
    settings: Settings,
    run: Outcomes,
    items: Sequence[str],
    *,
    sample: int = SAMPLE,
) -> dict[str, NDArray[np.int32]]:
    """Return peer -> rank by event, 0 where an event was not drawn, shape (n,).

    Every peer learns every accepted event, repeats too. A random `sample` of the scored events is ranked, each over the
    whole catalogue; which events they are depends on the number of events alone.

    Args:
        peers: at their start, made for the users of `run` and for `items`.
        records, settings: of the run.
        run: what it recorded.
        items: of `item_names`.
        sample: events to rank; all where there are no more.

    Raises:
        HeadwaterError: the records are not those of the run.
    """
    ranks = {peer.name: np.zeros(run.n, np.int32) for peer in peers}
    drawn = _draw(run.scored(), sample)
    numbers = {item: number for number, item in enumerate(items)}
    for place, event in enumerate(_events(records, settings, run, numbers)):
        for peer in peers:
            if drawn[place]:
                ranks[peer.name][place] = _rank(peer.scores(event.user), event.item, event.excluded)
            peer.learn(event.user, event.item)
    return ranks


def _draw(scored: NDArray[np.bool_], sample: int) -> NDArray[np.bool_]:
    drawn = np.zeros(len(scored), np.bool_)
    places = np.flatnonzero(scored)
    if len(places) > sample:
        places = np.random.default_rng(SEED).choice(places, sample, replace=False)
    drawn[places] = True
    return drawn


def _rank(scores: NDArray[np.float64], item: int, excluded: list[int]) -> int:
    bound = scores[item]
    if not bound > -np.inf:  # nor where a peer ran away and answers no number
        return UNRANKED
    return int(np.count_nonzero(scores >= bound) - np.count_nonzero(scores[excluded] >= bound))


def _events(records: Iterable[Record], settings: Settings, run: Outcomes, numbers: dict[str, int]) -> Iterator[_Event]:
    """Yield the accepted events in the order in which the learner took them."""
    users = {user: number for number, user in enumerate(run.users)}
    place = 0

    def rows_of(items: Sequence[str]) -> list[int]:
        return [numbers[item] for item in items]

    for _, folded in fold_ticks(records, settings):
        histories = {share.user: History(share.before, settings.candidates, rows_of) for share in folded.share.users}
        rows = [
            (row.at_ms, row.event_id.encode(), share.user, row) for share in folded.share.users for row in share.rows
        ]
        rows.sort(key=lambda event: event[:3])
        for at_ms, _, user, row in rows:
            history, item = histories[user], numbers.get(row.item, -1)
            if place >= run.n or (users.get(user), item) != (run.user[place], run.item[place]):
                raise HeadwaterError(
                    f"event {place + 1:,} of the log is {user} on {row.item}, the run recorded another; expected the "
                    "log of the run; run the replay again"
                )
            history.enter(at_ms, row.basket)
            yield _Event(int(run.user[place]), item, history.seen)
            history.advance(item, at_ms)
            place += 1
