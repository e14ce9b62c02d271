"""Laws of the safety floor: the blend is served only while it is not below decayed popularity."""

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online import safety
from online.evaluation.ranks import ndcg
from online.experts.lineup import lineup
from online.kernels import UNRANKED
from online.learner import Learner
from online.prequential import BLEND
from online.safety import SafetyFloor
from online.settings import Learning
from state.tables import decode_tables, encode_tables, sha256_of
from tests.online.test_learner import Stepper, by_tick
from tests.small import LEARNING, START_MS, small_catalogue, small_settings
from tests.strategies import Timed, quick

ITEMS = 30
EXPERTS = lineup(LEARNING, "unseen", np.zeros((ITEMS, LEARNING.dim), np.float32)).experts
NAMES = [expert.name for expert in EXPERTS]
POPULAR = ["popularity_500", "popularity_20000"]
RANKS = st.sampled_from([0, 1, 2, 9, 10, 11, 29, UNRANKED])


def ranks_of(events: list[tuple[int, int, int]]) -> NDArray[np.int32]:
    """Return ranks of a batch by the blend and both decayed popularities; whether an event is scored is the blend's."""
    ranks = np.full((2 + len(NAMES), len(events)), UNRANKED, np.int32)
    for row, own in zip((0, *(2 + NAMES.index(name) for name in POPULAR)), zip(*events, strict=True), strict=True):
        ranks[row] = own
    ranks[:, ranks[0] == 0] = 0
    return ranks


def gain(ranks: list[int], window: int) -> float:
    """Return the sum of NDCG@10 over the newest events."""
    return float(ndcg(np.array(ranks[-window:], np.int32)).sum())


@given(batches=st.lists(st.lists(st.tuples(RANKS, RANKS, RANKS), min_size=1, max_size=6), max_size=12))
@quick
def test_the_blend_is_served_only_while_it_leads(batches: list[list[tuple[int, int, int]]]) -> None:
    """Against a sum made anew: who is served has the most over the newest events, and the blend wins ties."""
    with mock.patch.object(safety, "WINDOW", 7):
        floor = SafetyFloor(EXPERTS)
    past: list[list[int]] = [[], [], []]
    for batch in batches:
        leader = int(np.argmax(np.round([gain(ranks, 7) for ranks in past], 4)))
        assert floor.served == ["blend", *POPULAR][leader]
        assert floor.feature == (BLEND, 0, 1)[leader]
        floor.watch(ranks_of(batch))
        for ranks in batch:
            if ranks[0]:
                for kept, rank in zip(past, ranks, strict=True):
                    kept.append(rank)
    newest = [gain(ranks, 7) / max(1, min(7, len(past[0]))) for ranks in past]
    assert list(floor.ndcg.values()) == pytest.approx(newest, abs=1e-4)
    restored = SafetyFloor(EXPERTS)
    restored.load(decode_tables(dict(encode_tables(floor.tables()))))
    assert sha256_of(restored.tables()) == sha256_of(floor.tables())
    assert (restored.served, restored.ndcg) == (floor.served, floor.ndcg)


def popular_log(events: int) -> list[Timed]:
    """Return a log of which all that can be known is what is popular: a few items by far."""
    rng = np.random.default_rng(5)
    chance = 0.7 ** np.arange(ITEMS)
    items = rng.choice(ITEMS, events, p=chance / chance.sum())
    return [
        Timed(START_MS + n * 1000, f"u{rng.integers(40):02d}", f"i{item:02d}", f"e{n:05d}", "")
        for n, item in enumerate(items.tolist())
    ]


class Run:
    """A run of which the blend is made bad: before every tick its weights are turned to say the opposite."""

    def __init__(self, bad: bool) -> None:
        settings = small_settings("all", Learning(dim=6, hidden=4, batch=16, keep=12))
        self.stepper = Stepper(settings, Learner(settings, small_catalogue([f"i{n:02d}" for n in range(ITEMS)])))
        self.served: list[str] = []
        self.own: list[int] = []
        self.popular: list[int] = []
        self.lists: list[list[str]] = []
        self.ndcg: dict[str, float] = {}
        for end_ms, events in by_tick(popular_log(3000)):
            if bad:
                self._spoil()
            lists, metrics = self.stepper.tick(events, end_ms)
            self.served.append(metrics.served)
            self.own += metrics.ranks["headwater"]
            self.popular += metrics.ranks["popularity_20000"]
            self.lists += [made.items for made in lists]
            self.ndcg = metrics.ndcg

    def _spoil(self) -> None:
        tables: dict[str, NDArray[Any]] = dict(self.stepper.learner.tables())
        tables["blend.weights"] = np.full_like(tables["blend.weights"], -2)
        self.stepper.learner.load(tables)


def test_a_spoiled_blend_does_not_end_below_popularity() -> None:
    """However bad the blend is made: its newest events are served as popularity would, lists too, and this is told."""
    run = Run(bad=True)
    assert run.served[-1] in POPULAR
    assert run.ndcg["blend"] < 0.8 * run.ndcg["popularity_20000"]
    assert gain(run.own, 1000) > 0.98 * gain(run.popular, 1000)
    assert run.lists[-1][:3] == ["i00", "i01", "i02"]
    assert run.stepper.learner.tables()["safety.sums"].argmax() > 0


def test_a_good_blend_is_left_alone() -> None:
    """Where nothing can be known but what is popular, the blend is as good as it, within noise, and learns so."""
    run = Run(bad=False)
    assert gain(run.own, 1000) > 0.95 * gain(run.popular, 1000)
