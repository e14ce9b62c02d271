"""The learner of one domain: for each event predict, measure, then learn; at the tick's end, make the lists."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, BatchBuilder
from online.blend import Blend
from online.catalogue import Catalogue, ItemChange
from online.drift import Adwin, relative_losses
from online.experts.base import Signal
from online.experts.ensemble import Ensemble
from online.experts.lineup import lineup
from online.history import History
from online.kernels import best_first, log_row
from online.prequential import Scored, predict_and_learn, score_candidates
from online.safety import SafetyFloor
from online.settings import Settings
from online.why import explain
from state.tables import Tables, sha256_of
from state.tick import Row, Share

LIST_BATCH = 64  # users whose lists are scored together; part of a list's identity, because products round by shape


class After(msgspec.Struct, frozen=True, gc=False):
    """The last event folded into a list."""

    partition: int
    offset: int
    event_id: str


class UserList(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One refreshed list, as it goes to the recommendations topic."""

    user: str
    at: int  # event time of the refresh: the tick's last millisecond
    head: int  # tick of the newest update of the head
    model_id: str  # of the encoder behind the item vectors
    after: After
    items: list[str]  # best first
    scores: list[float]  # of the blend, rounded to 1e-5; log shares of popularity where the safety floor holds
    why: dict[str, list[float]] | None = None  # part -> what it adds to each item's score; where `Settings.why`


class TickMetrics(msgspec.Struct, frozen=True):
    """What one tick measured, as it goes to the metrics topic. Ranks: 0 = not scored, UNRANKED = no score."""

    tick: int
    first: int  # number of the tick's first accepted event in the whole run
    accepted: int
    duplicates: int
    dead_letters: int  # of the tick; late records never reach one
    lists: int
    scored: int
    items: int  # in the catalogue, closed ones included
    changed: list[str]  # items whose change of the catalogue holds from this tick on
    user: list[str]  # per accepted event, as all below
    item: list[str]
    left_ms: list[int]  # event time until the tick's end, 0 in its last millisecond
    past: list[int]  # events of the user before this one
    actions: dict[str, list[int]]  # action -> places of its events in this tick; without those that name none
    surprise: list[float]  # -ln p of the item among the blend's candidates; 0 where it is none or is not scored
    best: list[float]  # p of the blend's best candidate; 0 where the event is not scored
    served: str  # who made the tick's lists: "blend", or the popularity that the safety floor put in its place
    ndcg: dict[str, float]  # the two over the newest 10,000 scored events, see `online.safety`
    drifts: list[int]  # alarms since the start that the blend's loss rose, and that it fell; see `online.drift`
    ranks: dict[str, list[int]]  # model -> rank per accepted event


class Final(msgspec.Struct, frozen=True):
    """The last metrics line of a bounded run."""

    final: bool
    tick: int
    accepted: int
    duplicates: int
    lists: int
    head_sha256: str


class _Measured(NamedTuple):
    """What was measured of a tick's events, before each was learned."""

    past: list[int]
    ranks: NDArray[np.int32]  # shape (models, events)
    chance: NDArray[np.float32]  # see `Blend.chance`; shape (2, events)


class TickResult(NamedTuple):
    """What a tick leads to; `lists` sorted by user."""

    lists: list[UserList]
    metrics: TickMetrics


class Learner:
    """All experts, the blend and the catalogue of one domain, advanced tick by tick.

    Equal ticks give equal lists and equal tables, bit for bit, on one kind of CPU and one set of library versions.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        """Start from the text; `catalogue` is the initial one and belongs to the learner from now on."""
        learning = settings.learning
        self._settings = settings
        self._catalogue = catalogue
        self._rows = len(catalogue)
        keep = max(learning.keep, settings.top_k)  # a list is never short for want of candidates
        self._lineup = lineup(replace(learning, keep=keep), settings.candidates, catalogue.base)
        self._ensemble = Ensemble(self._lineup)
        self._shape = len(self._lineup.experts), keep, len(self._lineup.columns)
        self._blend = Blend(
            self._lineup.columns, learning.blend_rate, learning.mixture_rate, learning.hidden, learning.network_rate,
            learning.seed, learning.new_item_odds,
        )  # fmt: skip
        self._safety = SafetyFloor(self._lineup.experts)
        self._drift = Adwin()
        self._batch = BatchBuilder(learning.history)
        self._counts = np.zeros(4, np.int64)  # last tick, accepted, duplicates, lists
        self._changed: list[str] = []  # since the last tick
        self._frozen = False

    @property
    def models(self) -> list[str]:
        """Names of what is measured: the blend, then each expert."""
        return ["headwater", "headwater_request", *(expert.name for expert in self._lineup.experts)]

    def change(self, change: ItemChange) -> None:
        """Take over one change of the catalogue; it holds for the next tick."""
        moved = self._catalogue.apply(change)
        self._changed.append(change.item)
        self._grow()
        if moved is not None:
            for part in self._lineup.parts:
                part.move(*moved)

    def holds(self, change: ItemChange) -> bool:
        """Tell whether the catalogue is as `change` wants it already."""
        return self._catalogue.holds(change)

    def step(self, tick_ms: int, shares: Iterable[Share]) -> TickResult:
        """Learn one tick and make the lists of the users who acted in it.

        Args:
            tick_ms: last millisecond of the tick, later than any before.
            shares: of all shards that saw the tick, in any order.
        """
        shares = sorted(shares, key=lambda share: share.shard)
        histories: dict[str, History[int]] = {}
        events: list[tuple[int, bytes, str, Row]] = []
        self._catalogue.advance(tick_ms)
        for share in shares:
            for user, before, rows in ((u.user, u.before, u.rows) for u in share.users):
                histories[user] = History(before, self._settings.candidates, self._catalogue.rows)
                events += ((row.at_ms, row.event_id.encode(), user, row) for row in rows)
        events.sort()  # no two are equal in the first three: a user's repeats are dropped
        for event in events:
            self._catalogue.row(event[3].item)
        self._grow()
        measured = self._learn(events, histories)
        last = {user: row for _, _, user, row in events}
        lists = self._make_lists(tick_ms, histories, last)
        duplicates = sum(share.duplicates for share in shares)
        metrics = TickMetrics(
            tick=tick_ms,
            first=int(self._counts[1]),
            accepted=len(events),
            duplicates=duplicates,
            dead_letters=sum(share.dead for share in shares),
            lists=len(lists),
            scored=int(np.count_nonzero(measured.ranks[0])),
            items=len(self._catalogue),
            changed=self._changed,
            user=[user for _, _, user, _ in events],
            item=[row.item for _, _, _, row in events],
            left_ms=[tick_ms - at_ms for at_ms, _, _, _ in events],
            past=measured.past,
            actions=_places(row.action for _, _, _, row in events),
            surprise=_surprise(measured.chance[0]),
            best=_rounded(measured.chance[1], 4),
            served=self._safety.served,
            ndcg=self._safety.ndcg,
            drifts=[self._drift.rises, self._drift.falls],
            ranks={model: row.tolist() for model, row in zip(self.models, measured.ranks, strict=True)},
        )
        self._changed = []
        self._counts += [0, len(events), duplicates, len(lists)]
        self._counts[0] = tick_ms
        return TickResult(lists, metrics)

    def freeze(self) -> None:
        """Learn and count nothing from now on, while users' histories go on: the frozen control. For good."""
        self._frozen = True

    def final(self) -> Final:
        """Return the totals and the fingerprint of all tables."""
        tick, accepted, duplicates, lists = self._counts.tolist()
        return Final(True, tick, accepted, duplicates, lists, sha256_of(self.tables()))

    def tables(self) -> Tables:
        """Return everything that was learned or counted; views, valid until the next step."""
        tables: Tables = {"counts": self._counts, **self._catalogue.tables()}
        for name, part in self._parts():
            tables |= {f"{name}.{key}": table for key, table in part.tables().items()}
        return tables

    def load(self, tables: Tables) -> None:
        """Take over the tables of a learner with the same settings and initial catalogue."""
        self._counts = np.asarray(tables["counts"], np.int64)
        self._catalogue.load(tables)
        self._rows = -1  # the vectors are others, and perhaps more
        self._grow()
        for name, part in self._parts():
            start = f"{name}."
            part.load({key.removeprefix(start): table for key, table in tables.items() if key.startswith(start)})

    @property
    def last_tick_ms(self) -> int:
        """The newest tick learned, 0 before the first."""
        return int(self._counts[0])

    def _parts(self) -> list[tuple[str, Signal | Blend | SafetyFloor | Adwin]]:
        experts = ((f"expert.{part.name}", part) for part in self._lineup.parts)
        return [*experts, ("blend", self._blend), ("safety", self._safety), ("drift", self._drift)]

    def _grow(self) -> None:
        """Give the experts the rows that the catalogue has gained."""
        if self._rows != len(self._catalogue):
            self._rows = len(self._catalogue)
            for part in self._lineup.parts:
                part.grow(self._catalogue.base)

    def _learn(
        self,
        events: Sequence[tuple[int, bytes, str, Row]],
        histories: dict[str, History[int]],
    ) -> _Measured:
        """Predict, then learn, event by event."""
        past: list[int] = []
        ranks, chance = [np.zeros((len(self.models), 0), np.int32)], [np.zeros((2, 0), np.float32)]
        rises = self._drift.rises
        for batch, states in self._ensemble.passing(self._batches(events, histories, past), not self._frozen):
            predicted = predict_and_learn(
                states, self._blend.state, batch, self._shape, not self._frozen, self._safety.feature
            )
            ranks.append(np.vstack([predicted.served, predicted.ranks[1:]]))
            chance.append(predicted.chance)
            if not self._frozen:
                self._safety.watch(predicted.ranks)
                self._drift.update(relative_losses(predicted.chance[0], batch.scored, len(batch.open)))
        if self._drift.rises > rises:
            self._blend.quicken(self._settings.learning.drift_boost)
        return _Measured(past, np.hstack(ranks), np.hstack(chance))

    def _batches(
        self, events: Sequence[tuple[int, bytes, str, Row]], histories: dict[str, History[int]], past: list[int]
    ) -> Iterator[Batch]:
        """Yield the events as mini-batches, and note how many each user had before."""
        size = self._settings.learning.batch
        for first in range(0, len(events), size):
            self._batch.clear()
            for at_ms, _, user, row in events[first : first + size]:
                history, item = histories[user], self._catalogue.row(row.item)
                history.enter(at_ms, row.basket)
                past.append(history.events)
                self._batch.add(history, item, at_ms)
                history.advance(item, at_ms, row.context)
            yield self._batch.build(self._catalogue.open)

    def _make_lists(
        self,
        tick_ms: int,
        histories: dict[str, History[int]],
        last: dict[str, Row],
    ) -> list[UserList]:
        """Score the users who acted with the tick's final weights, LIST_BATCH at a time in the order of their ids."""
        users = sorted(histories)
        lists: list[UserList] = []
        names, order = self._catalogue.names(), self._catalogue.order()
        for batch, states in self._ensemble.passing(self._list_batches(users, histories), learns=False):
            found = score_candidates(
                states, self._blend.state, batch, self._shape, self._safety.feature, self._settings.why
            )
            best = np.empty((len(batch.past), self._settings.top_k), np.int32)
            best_score = np.empty(best.shape, np.float32)
            best_first(found.item, found.score, found.n, order, best, best_score)
            rounded = np.round(best_score.astype(np.float64), 5).tolist()
            length = np.count_nonzero(best >= 0, axis=1).tolist()
            named = names[best].tolist()
            due = users[len(lists) : len(lists) + len(length)]
            for user, items, scores, k, why in zip(due, named, rounded, length, self._why(found, best), strict=True):
                row = last[user]
                lists.append(
                    UserList(
                        user=user,
                        at=tick_ms,
                        head=tick_ms,
                        model_id=self._catalogue.model_id,
                        after=After(row.partition, row.offset, row.event_id),
                        items=items[:k],
                        scores=scores[:k],
                        why=why,
                    )
                )
        return lists

    def _why(self, found: Scored, best: NDArray[np.int32]) -> Sequence[dict[str, list[float]] | None]:
        """Return the parts' shares in the scores of each user's list, None where they are not asked for."""
        if not self._settings.why:
            return [None] * len(best)
        return explain({part.name: len(part.columns) for part in self._lineup.parts}, found, best)

    def _list_batches(self, users: list[str], histories: dict[str, History[int]]) -> Iterator[Batch]:
        for first in range(0, len(users), LIST_BATCH):
            self._batch.clear()
            for user in users[first : first + LIST_BATCH]:
                self._batch.add(histories[user])
            yield self._batch.build(self._catalogue.open)


def _places(actions: Iterable[str]) -> dict[str, list[int]]:
    """Return action -> places of its events, in the order of the actions' first events."""
    places: dict[str, list[int]] = {}
    for place, action in enumerate(actions):
        if action:
            places.setdefault(action, []).append(place)
    return places


def _surprise(chance: NDArray[np.float32]) -> list[float]:
    """Return -ln p to three digits; the kernel's logarithm, because the library's differs from host to host."""
    log = np.empty_like(chance)
    log_row(np.where(chance > 0, chance, np.float32(1)), log)
    return _rounded(-log, 3)


def _rounded(values: NDArray[np.float32], digits: int) -> list[float]:
    rounded: list[float] = (np.round(values.astype(np.float64), digits) + 0.0).tolist()  # 0.0, never -0.0
    return rounded


def identity(settings: Settings, catalogue: Catalogue) -> str:
    """Return the hex SHA-256 of what must not change under a restored state: settings, line-up, initial catalogue."""
    told = replace(settings, why=False)  # it explains lists and shapes nothing that is learned
    digest = hashlib.sha256(msgspec.json.encode(told, order="sorted"))
    columns = lineup(settings.learning, settings.candidates, catalogue.base[:0]).columns
    digest.update(msgspec.json.encode(columns))
    digest.update("\n".join([catalogue.model_id, *catalogue.items]).encode())
    digest.update(catalogue.base.tobytes())
    return digest.hexdigest()
