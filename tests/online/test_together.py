"""Laws of togetherness: symmetric counts of what is near in one basket, against counting by hand."""

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online.batch import BatchBuilder
from online.experts.together import Together
from online.history import History
from tests.online.expert_tools import learn, look, mass, text
from tests.strategies import quick

N, WINDOW, DECAY = 8, 3, 0.5
baskets = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=6), min_size=1, max_size=5)


@given(baskets=baskets, size=st.integers(1, 4))
@quick
def test_pairs_are_counted_both_ways(baskets: list[list[int]], size: int) -> None:
    """In mini-batches of any size: C[q, i] = C[i, q] = sum of 1 / d, never across baskets; the score is its sum."""
    expert = Together(WINDOW, DECAY, text(N))
    history: History[int] = History(None, "not_in_basket", lambda items: [])
    builder = BatchBuilder(5)
    open_ = np.ones(N, np.uint8)
    events = [(item, f"b{number}") for number, basket in enumerate(baskets) for item in basket]
    for first in range(0, len(events), size):
        builder.clear()
        for item, name in events[first : first + size]:
            history.enter(0, name)
            builder.add(history, item)
            history.advance(item, 0)
        learn(expert, [builder.build(open_)])
    counts: dict[tuple[int, int], float] = defaultdict(float)
    for basket in baskets:
        for at, item in enumerate(basket):
            for d in range(1, min(WINDOW, at) + 1):
                counts[basket[at - d], item] += 1 / d
                counts[item, basket[at - d]] += 1 / d
    builder.clear()
    builder.add(history)
    newest = baskets[-1][::-1][:WINDOW]
    scores = np.zeros(N)
    for d, q in enumerate(newest):
        row = np.array([counts[q, j] for j in range(N)])
        scores += DECAY**d * row / np.sqrt(row.sum() + 1)
    shown = [j for j in range(N) if j not in baskets[-1]]
    got = mass(look(expert, builder.build(open_)).feature, N)[0, shown]
    np.testing.assert_allclose(got, scores[shown] / (scores[shown].sum() or 1.0), atol=1e-5)
