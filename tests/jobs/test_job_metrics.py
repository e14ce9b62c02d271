"""Laws of the job's metrics: they add up over ticks, whatever is on their labels."""

import re
from pathlib import Path
from typing import Any

import pytest

from jobs.job_metrics import LE_MS, METRICS, PREFIX, LearnerMetrics, SessionsMetrics, count_hits
from online.learner import TickMetrics


class Group:
    """Flink's metric group and counter: names with labels -> counts."""

    def __init__(self, path: str = "", counts: dict[str, int] | None = None) -> None:
        self.path = path
        self.counts: dict[str, int] = {} if counts is None else counts

    def get_metrics_group(self) -> "Group":
        return self

    def add_group(self, name: str, extra: str = "") -> "Group":
        return Group(f"{self.path}{name}{f'={extra}' if extra else ''}.", self.counts)

    def counter(self, name: str) -> "Group":
        self.counts[self.path + name] = 0
        return Group(self.path + name, self.counts)

    def inc(self, n: int = 1) -> None:
        self.counts[self.path] += n


def tick(ms: int, left_ms: list[int], ranks: list[int], items: int) -> TickMetrics:
    n = len(left_ms)
    given: dict[str, Any] = {
        "user": ["u"] * n,
        "item": ["i"] * n,
        "past": [0] * n,
        "best": [0.0] * n,
        "ndcg": {},
        "drifts": [0, 0],
    }
    return TickMetrics(
        tick=ms, first=0, accepted=n, duplicates=1, dead_letters=0, lists=n, scored=n, items=items, changed=[],
        left_ms=left_ms, actions={}, surprise=[0.0] * n, served="blend", ranks={"headwater": ranks}, **given,
    )  # fmt: skip


def test_ticks_add_up_and_levels_move() -> None:
    """Counts grow, levels go up and down, ages are the clock's less the event's, cumulative by their bound."""
    group = Group()
    told = LearnerMetrics(group, clock=lambda: 10.0)

    told.tick(tick(9_900, [0, 800], [1, 11], items=7), without_vector=3, learn=7)
    told.publish()
    told.tick(tick(9_990, [5], [10], items=9), without_vector=1, learn=5)
    assert group.counts["headwater.ticks"] == 1, "a timer counts nothing: in process mode it would be lost"
    told.publish()
    told.publish()

    def count(name: str, label: str = "") -> int:
        return group.counts[f"headwater.{label and label + '.'}{name}"]

    assert [count(name) for name in ("ticks", "accepted", "duplicates", "lists", "scored")] == [2, 3, 2, 3, 3]
    assert (count("items"), count("items_without_vector")) == (9, 1)
    assert count("hits_at_10", "model=headwater") == 2
    assert [count("event_to_list", f"le={bound}") for bound in (50, 100, 200, 500, 1000, "+Inf")] == [1, 2, 2, 2, 3, 3]
    assert count("us", "stage=learn") == 12
    assert count("event_to_list_ms") == 100 + 900 + 15


def test_every_metric_is_told_of() -> None:
    """What the operators register, with labels left out, is what the documentation is made of."""
    group = Group()
    sessions, learner = SessionsMetrics(group), LearnerMetrics(group)
    with sessions.stages.measure("fold"):
        sessions.dead_letters.inc("late")
    learner.tick(tick(1, [0], [1], items=1), without_vector=0)
    learner.publish()

    prometheus = {re.sub(r"=[^.]+\.(?=\w+$)", "_", name).removeprefix("headwater.") for name in group.counts}
    assert prometheus == METRICS.keys()
    assert list(LE_MS) == sorted(LE_MS)


def test_the_documentation_has_every_metric() -> None:
    """docs/operations.md says the same of each as the code."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert PREFIX in text
    assert [name for name, about in METRICS.items() if f"| `{name}` | {about} |" not in text] == []


@pytest.mark.parametrize(("ranks", "hits"), [([], 0), ([0, 1, 10, 11], 2)])
def test_unscored_is_no_hit(ranks: list[int], hits: int) -> None:
    """A rank of 0 says that the event was not scored."""
    assert count_hits(ranks) == hits
