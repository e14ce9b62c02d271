"""What a run recorded of each accepted event: one table of columns, which all measures read."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.kernels import UNRANKED
from state.errors import HeadwaterError

OWN = "headwater"  # the model whose lists are delivered


class Outcomes(NamedTuple):
    """The events of a run in the order in which they were accepted, `n` of them; columns have shape (n,).

    Attributes:
        users, items, actions: names; the columns below hold their places. actions[0] is "", the event names none.
        at_ms: event time, Unix ms; it never falls.
        past: events of the user before this one.
        catalogue: items in the catalogue when the event was ranked.
        surprise: -ln p of the item among the blend's candidates; 0 where it is none, or is not scored.
        best: p of the blend's best candidate; 0 where the event is not scored.
        ranks: model -> rank of the item, ties counting against the model; 0: not scored, UNRANKED: no score.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    actions: tuple[str, ...]
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    past: NDArray[np.int32]
    action: NDArray[np.int32]
    catalogue: NDArray[np.int32]
    surprise: NDArray[np.float32]
    best: NDArray[np.float32]
    ranks: dict[str, NDArray[np.int32]]

    @property
    def n(self) -> int:
        """How many events there are."""
        return len(self.user)

    def scored(self, model: str = OWN) -> NDArray[np.bool_]:
        """Return where the model was scored, shape (n,)."""
        return self.ranks[model] > 0 if model in self.ranks else np.zeros(self.n, np.bool_)

    def missed(self) -> NDArray[np.bool_]:
        """Return where the item was none of the blend's candidates, shape (n,)."""
        return self.ranks[OWN] == UNRANKED if OWN in self.ranks else np.zeros(self.n, np.bool_)


class _Tick(NamedTuple):
    """One metrics line, small in memory; users, items and actions as places among the names."""

    first: int
    tick: int
    items: int
    columns: tuple[NDArray[Any], ...]  # user, item, at_ms, past, action, surprise, best
    ranks: dict[str, NDArray[np.int32]]


_TYPES = (np.int32, np.int32, np.int64, np.int32, np.int32, np.float32, np.float32)


class _Names:
    """Places of names, in the order in which they come."""

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.actions: dict[str, int] = {"": 0}

    def tick(self, line: Mapping[str, Any]) -> _Tick:
        n = len(line["user"])
        action = np.zeros(n, np.int32)
        for name, places in line["actions"].items():
            action[places] = _place(name, self.actions)
        columns = (
            np.fromiter((_place(name, self.users) for name in line["user"]), np.int32, n),
            np.fromiter((_place(name, self.items) for name in line["item"]), np.int32, n),
            line["tick"] - np.array(line["left_ms"], np.int64),
            np.array(line["past"], np.int32),
            action,
            np.array(line["surprise"], np.float32),
            np.array(line["best"], np.float32),
        )
        ranks = {model: np.array(row, np.int32) for model, row in line["ranks"].items()}
        return _Tick(line["first"], line["tick"], line["items"], columns, ranks)


def collect(lines: Iterable[Mapping[str, Any]]) -> Outcomes:
    """Return what the metrics lines of a run recorded, whatever the order of the lines.

    Args:
        lines: decoded metrics lines; those without ranks, such as the final one, are passed over.

    Raises:
        HeadwaterError: events are missing or stand twice, or the lines were written by an older version.
    """
    names = _Names()
    ticks = []
    for line in lines:
        if "ranks" in line:
            if "left_ms" not in line:
                raise HeadwaterError(
                    f"the metrics line of tick {line.get('tick')} has no users and items: it was written by an older "
                    "version; run the replay again with this one"
                )
            ticks.append(names.tick(line))
    ticks.sort(key=lambda tick: (tick.first, tick.tick))
    upto = 0
    for tick in ticks:
        if tick.first != upto:
            raise HeadwaterError(
                f"the metrics line of tick {tick.tick} starts at event {tick.first}; expected {upto}, which is "
                "what the lines before it hold; a part of the metrics is missing or stands twice: run the replay again"
            )
        upto += len(tick.columns[0])
    parts = zip(*(tick.columns for tick in ticks), strict=True) if ticks else ((),) * len(_TYPES)
    columns = [np.concatenate([np.empty(0, kind), *part]) for kind, part in zip(_TYPES, parts, strict=True)]
    user, item, at_ms, past, action, surprise, best = columns
    catalogue = np.repeat(np.array([t.items for t in ticks], np.int32), [len(t.columns[0]) for t in ticks])
    names_of = (tuple(names.users), tuple(names.items), tuple(names.actions))
    return Outcomes(*names_of, user, item, at_ms, past, action, catalogue, surprise, best, _ranks(ticks, upto))


def _place(name: str, places: dict[str, int]) -> int:
    return places.setdefault(name, len(places))


def _ranks(ticks: Iterable[_Tick], n: int) -> dict[str, NDArray[np.int32]]:
    """Return the ranks of every model; it is not scored in ticks that do not name it."""
    ranks: dict[str, NDArray[np.int32]] = {}
    for tick in ticks:
        upto = tick.first + len(tick.columns[0])
        for model, row in tick.ranks.items():
            ranks.setdefault(model, np.zeros(n, np.int32))[tick.first : upto] = row
    return ranks


def earlier(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many equal codes stand before each, shape (n,): of items, their earlier events."""
    order = np.argsort(codes, kind="stable")
    by_code = codes[order]
    starts = np.flatnonzero(np.diff(by_code, prepend=-1))
    counted = np.empty(len(codes), np.int64)
    counted[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    return counted
