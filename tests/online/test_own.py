"""Laws of own pasts: times, baskets since, and what stood beside the newest items, against counting by hand."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online.batch import Batch, BatchBuilder
from online.experts.own import OwnItems, OwnSequence
from online.history import History
from tests.online.expert_tools import look, mass, text
from tests.strategies import quick

N = 8
events = st.lists(st.tuples(st.integers(0, N - 1), st.booleans()), max_size=25)  # item, opens a basket


def after(past: list[tuple[int, bool]]) -> tuple[Batch, list[int], list[int]]:
    """Return the batch of the next event of the newest basket; with items and their basket numbers."""
    history: History[int] = History(None, "not_in_basket", lambda items: [])
    builder = BatchBuilder(5)
    numbers: list[int] = []
    for item, opens in past:
        numbers.append(numbers[-1] + opens if numbers else 0)
        history.enter(0, f"b{numbers[-1]}")
        history.advance(item, 0)
    builder.add(history)
    return builder.build(np.ones(N, np.uint8)), [item for item, _ in past], numbers


@given(past=events)
@quick
def test_own_items(past: list[tuple[int, bool]]) -> None:
    """Score, times and baskets since are those of a count by hand; the basket's own items are not shown."""
    batch, items, numbers = after(past)
    now = numbers[-1] if numbers else -1
    got = look(OwnItems(text(N)), batch)
    weight = {j: sum(1 / (1 + now - b) for i, b in zip(items, numbers, strict=True) if i == j) for j in range(N)}
    shown = [j for j in range(N) if (j, now) not in zip(items, numbers, strict=True)]
    total = sum(weight[j] for j in shown) or 1.0
    np.testing.assert_allclose(mass(got.feature, N)[0, shown], [weight[j] / total for j in shown], atol=1e-5)
    np.testing.assert_allclose(got.columns[1, 0, shown], [np.log(1 + items.count(j)) for j in shown], atol=1e-6)
    last = dict(zip(items, numbers, strict=True))
    lately = [1 / (1 + now - last[j]) if j in last else 0 for j in shown]
    np.testing.assert_allclose(got.columns[2, 0, shown], lately, atol=1e-6)


@given(past=events)
@quick
def test_own_sequence(past: list[tuple[int, bool]]) -> None:
    """Votes are those of a count by hand, for the three items after and the one before."""
    batch, items, numbers = after(past)
    votes: dict[int, float] = defaultdict(float)
    for k in range(len(items) - 1):
        weight = 1.0 if items[k] == items[-1] else 0.4 if items[k] == items[-2] else 0.0
        for offset, share in ((-1, 0.4), (1, 1.0), (2, 1 / 2), (3, 1 / 3)):
            if 0 <= k + offset < len(items):
                votes[items[k + offset]] += weight * share
    hidden = {i for i, b in zip(items, numbers, strict=True) if b == numbers[-1]}
    shown = [j for j in range(N) if j not in hidden]
    total = sum(votes[j] for j in shown) or 1.0
    got = mass(look(OwnSequence(text(N)), batch).feature, N)
    np.testing.assert_allclose(got[0, shown], [votes[j] / total for j in shown], atol=1e-5)


def test_what_is_put_forward_was_had() -> None:
    """The item had most and most lately comes first; what stands in the basket is not put forward."""
    batch, _, _ = after([(1, False), (2, False), (1, True), (3, True)])
    assert look(OwnItems(text(N)), batch, keep=1).item.tolist() == [[1]]
    assert sorted(look(OwnItems(text(N)), batch).item[0].tolist()) == [-1] * 6 + [1, 2]
