"""Laws of an item's life: first and newest event, counted in events."""

import numpy as np

from online.experts.life import ItemLife
from tests.online.expert_tools import learn, look, text
from tests.small import small_batch


def test_a_life_is_counted_in_events() -> None:
    """After the events 3, 5, 3, 7: item 3 is four events old and two idle, item 5 three and three; 0 is new."""
    life = learn(ItemLife(text()), [small_batch([[], []], [3, 5]), small_batch([[], [3]], [3, 7])])
    got = look(life, small_batch([[]], [1], [[]])).columns[:, 0]
    np.testing.assert_allclose(got[0, [3, 5, 7, 0]], np.log([5, 4, 2, 5]), rtol=1e-6)
    np.testing.assert_allclose(got[1, [3, 5, 7, 0]], np.log([3, 4, 2, 5]), rtol=1e-6)
    assert got[2, [3, 5, 7, 0]].tolist() == [0, 0, 0, 1]


def test_repeats_count_too() -> None:
    """What no list could hold was consumed all the same."""
    batch = small_batch([[3]], [3])
    assert not batch.scored.any()
    got = look(learn(ItemLife(text()), [batch]), small_batch([[]], [1], [[]])).columns[:, 0, 3]
    np.testing.assert_allclose(got, [np.log(2), np.log(2), 0], rtol=1e-6, atol=1e-7)
