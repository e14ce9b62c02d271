"""Leak tests on real events: without a pattern there is nothing to predict, and no score sees what it is to predict."""

import csv
import gzip
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from online.batch import BatchBuilder
from online.catalogue import Catalogue
from online.evaluation.outcomes import Outcomes, collect
from online.history import History
from online.learner import Learner, UserList
from online.loop import run_loop
from online.prequential import score_candidates
from online.record import Record
from online.settings import Learning, Settings
from tests.online.evaluation.test_outcomes import lines_of
from tests.small import record

EXAMPLES = Path(__file__).parents[2] / "examples"
MOVIES, SHOP = "movietweetings", "online_retail"
EVENTS = 3000


class Taken(NamedTuple):
    """One event."""

    at_ms: int
    user: str
    item: str
    basket: str


@cache
def taken(log: str = MOVIES) -> tuple[Taken, ...]:
    """Return the first real events."""
    with gzip.open(EXAMPLES / log / "events.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(EVENTS), strict=False)]
    return tuple(Taken(int(row["ts"]) * 1000, row["user"], row["item"], row.get("basket", "")) for row in rows)


def with_items(log: str, items: Sequence[str]) -> list[Taken]:
    """Return the events of a log, each on another item."""
    return [event._replace(item=item) for event, item in zip(taken(log), items, strict=True)]


def records_of(events: Sequence[Taken]) -> list[Record]:
    return [
        record(n, event.at_ms, event.user, event.item, basket=event.basket or None) for n, event in enumerate(events)
    ]


def settings_of(log: str) -> Settings:
    return Settings(candidates="unseen" if log == MOVIES else "not_in_basket", learning=Learning(dim=16))


SETTINGS = settings_of(MOVIES)


def learner(log: str = MOVIES) -> Learner:
    """Return a learner whose items have vectors that tell nothing."""
    items = sorted({event.item for event in taken(log)})
    vectors = np.random.default_rng(1).normal(size=(len(items), 24)).astype(np.float32)
    return Learner(settings_of(log), Catalogue.build("random", items, vectors, np.zeros(len(items), np.int64), 16))


def replayed(events: Sequence[Taken], log: str = MOVIES) -> tuple[Outcomes, list[UserList]]:
    results = list(run_loop(records_of(events), learner(log), settings_of(log)))
    lists = [made for result in results for made in result.lists]
    return collect(lines_of([result.metrics for result in results if result.metrics is not None])), lists


def hit_rates(run: Outcomes) -> dict[str, float]:
    """Return HR@10 by model over the last 80 %."""
    last = slice(run.n // 5, None)
    return {model: float(np.mean(row[last][row[last] > 0] <= 10)) for model, row in run.ranks.items()}


@pytest.fixture(scope="module")
def real() -> tuple[Outcomes, list[UserList]]:
    return replayed(taken())


@pytest.mark.parametrize("log", [MOVIES, SHOP])
def test_items_permuted_over_the_stream(log: str) -> None:
    """When and by whom means nothing then: no model does better than the ten most frequent items for everybody."""
    items = [event.item for event in taken(log)]
    mixed = np.random.default_rng(5).permutation(np.array(items, object)).tolist()
    found = hit_rates(replayed(with_items(log, mixed), log)[0])
    counts = np.sort(np.unique(items, return_counts=True)[1])[::-1]
    chance = counts[:10].sum() / len(items)
    assert max(found.values()) < chance + 3 * np.sqrt(chance * (1 - chance) / (0.8 * EVENTS)), found


def test_the_permutation_took_something() -> None:
    """The same measure sees the pattern where there is one: in a shop's baskets what follows what."""
    found = hit_rates(replayed(taken(SHOP), SHOP)[0])
    counts = np.sort(np.unique([event.item for event in taken(SHOP)], return_counts=True)[1])[::-1]
    assert min(found["headwater"], found["sequential_rules"]) > 1.5 * counts[:10].sum() / EVENTS


@pytest.mark.parametrize("log", [MOVIES, SHOP])
def test_items_drawn_at_random(log: str) -> None:
    """Against uniform chance every model is as good as ten darts."""
    names = sorted({event.item for event in taken(log)})
    drawn = np.random.default_rng(6).choice(names, EVENTS).tolist()
    found = hit_rates(replayed(with_items(log, drawn), log)[0])
    chance = 10 / len(names)
    limit = chance + 4 * np.sqrt(chance / (0.8 * EVENTS))  # the most of nine models, at four errors
    assert max(found.values()) < limit < 0.02, found


def test_no_score_sees_its_target() -> None:
    """With the target hidden, the experts nominate the same items, and the blend scores them the same."""
    at_work = learner()
    assert list(run_loop(records_of(taken()[:2000]), at_work, SETTINGS))
    catalogue = at_work._catalogue
    histories: dict[str, History[int]] = {}
    shown, hidden = BatchBuilder(SETTINGS.learning.history), BatchBuilder(SETTINGS.learning.history)
    for number, (at_ms, user, item, _) in enumerate(taken()):
        history = histories.setdefault(user, History(None, SETTINGS.candidates, catalogue.rows))
        history.enter(at_ms, "")
        if 2000 <= number < 2064:
            shown.add(history, catalogue.row(item))
            hidden.add(history)
        history.advance(catalogue.row(item), at_ms)
    batches = shown.build(catalogue.open), hidden.build(catalogue.open)
    assert batches[0].scored.sum() > 50 > batches[1].scored.sum() == 0
    seen, unseen = (
        score_candidates(states, at_work._blend.state, batch, at_work._shape)
        for batch, states in at_work._ensemble.passing(batches, learns=False)
    )
    assert seen.n.tolist() == unseen.n.tolist()
    for e, n in enumerate(seen.n):
        assert seen.item[e, :n].tolist() == unseen.item[e, :n].tolist()
        assert seen.score[e, :n].tobytes() == unseen.score[e, :n].tobytes()


def test_the_future_changes_no_list_and_no_rank(real: tuple[Outcomes, list[UserList]]) -> None:
    """What was measured and delivered up to a tick is the same, bit for bit, when the log goes on."""
    run, lists = replayed(taken()[:2000])
    upto = max(made.at for made in lists)
    assert [made for made in lists if made.at < upto] == [made for made in real[1] if made.at < upto]
    whole = int(np.count_nonzero(run.at_ms <= upto - SETTINGS.tick_ms))
    assert whole > 1900
    for model, ranks in run.ranks.items():
        assert ranks[:whole].tolist() == real[0].ranks[model][:whole].tolist()
    assert run.surprise[:whole].tolist() == real[0].surprise[:whole].tolist()
