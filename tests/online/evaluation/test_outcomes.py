"""Laws of a run's record: lines come in any order, nothing is missing or counted twice, every column is told."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.evaluation.outcomes import collect, earlier
from online.learner import TickMetrics
from state.errors import HeadwaterError
from tests.small import START_MS, TICK_MS, record, run
from tests.strategies import quick


def line(first: int, tick: int, ranks: list[int], past: list[int]) -> dict[str, Any]:
    n = len(ranks)
    return {
        "tick": tick,
        "first": first,
        "items": 12,
        "user": [f"u{first + k}" for k in range(n)],
        "item": ["a"] * n,
        "left_ms": list(range(n, 0, -1)),
        "past": past,
        "actions": {"buy": [0]} if n else {},
        "surprise": [0.5] * n,
        "best": [0.25] * n,
        "ranks": {"headwater": ranks, "twice": [2 * r for r in ranks]},
    }


@given(order=st.permutations(range(4)))
def test_lines_come_in_any_order(order: list[int]) -> None:
    """A run's lines may be read from several files; an empty tick and the final line add nothing."""
    lines = [line(0, 5, [1, 2], [0, 1]), line(2, 6, [], []), line(2, 7, [3], [1]), {"final": True, "accepted": 3}]
    got = collect(lines[index] for index in order)
    assert got.ranks["twice"].tolist() == [2, 4, 6]
    assert got.past.tolist() == [0, 1, 1]
    assert [got.users[code] for code in got.user] == ["u0", "u1", "u2"]
    assert got.at_ms.tolist() == [3, 4, 6]
    assert [got.actions[code] for code in got.action] == ["buy", "", "buy"]
    assert (got.catalogue.tolist(), got.surprise.tolist(), got.best.tolist()) == ([12] * 3, [0.5] * 3, [0.25] * 3)


@pytest.mark.parametrize("lines", [[line(2, 7, [3], [1])], [line(0, 5, [1, 2], [0, 1])] * 2])
def test_missing_and_repeated_lines(lines: list[dict[str, Any]]) -> None:
    """A gap or a repeat is an error, not a slightly different figure."""
    with pytest.raises(
        HeadwaterError, match=r"the metrics line of tick \d starts at event \d; expected \d.*run the replay"
    ):
        collect(lines)


def test_lines_of_an_older_version() -> None:
    """Lines without users and items are told as such."""
    with pytest.raises(HeadwaterError, match=r"tick 5 has no users and items: .* older version; run the replay again"):
        collect([{"tick": 5, "first": 0, "known": [0], "ranks": {"headwater": [1]}}])


@given(codes=st.lists(st.integers(0, 4), max_size=20))
@quick
def test_earlier_counts(codes: list[int]) -> None:
    """As a plain loop counts."""
    assert earlier(np.array(codes, np.int32)).tolist() == [codes[:k].count(code) for k, code in enumerate(codes)]


def lines_of(metrics: list[TickMetrics]) -> list[dict[str, Any]]:
    import msgspec

    return [msgspec.to_builtins(each) for each in metrics]


def test_what_the_loop_records() -> None:
    """User, item, time, earlier events and action of each accepted event, in the order in which they were learned."""
    made = [
        (START_MS + 5, "v", "i01", "view"),
        (START_MS + 7, "u", "i02", None),
        (START_MS + 9, "u", "i03", "buy" + "x" * 99),
        (START_MS + TICK_MS + 1, "u", "i02", "view"),
    ]
    records = [record(n, at_ms, user, item, action=action) for n, (at_ms, user, item, action) in enumerate(made)]
    got = collect(lines_of(run(records).metrics))
    assert [(got.users[u], got.items[i]) for u, i in zip(got.user, got.item, strict=True)] == [m[1:3] for m in made]
    assert got.at_ms.tolist() == [m[0] for m in made]
    assert got.past.tolist() == [0, 0, 1, 2]
    actions = [got.actions[code] for code in got.action]
    assert actions == ["view", "", "buy" + "x" * 61, "view"]
    assert got.catalogue.tolist() == [12] * 4
    assert got.ranks["headwater"].tolist()[3] == got.surprise.tolist()[3] == got.best.tolist()[3] == 0  # a repeat


def test_surprise_is_of_the_rank() -> None:
    """p of the item is at most that of the best candidate, which it is where the item ranked first alone."""
    records = [record(n, START_MS + 700 * n, f"u{n % 9}", f"i{n * n % 12:02d}") for n in range(300)]
    got = collect(lines_of(run(records).metrics))
    ranks, p = got.ranks["headwater"], np.exp(-got.surprise.astype(np.float64))
    found = (ranks > 0) & (ranks <= 12)
    assert found.sum() > 10
    assert (p[found] <= got.best[found] + 1e-3).all()
    first = ranks == 1
    np.testing.assert_allclose(p[first], got.best[first], atol=1e-3)
    assert (got.best[ranks > 0] > 0).all()
