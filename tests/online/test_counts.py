"""Laws of the experts that count: popularity and rules."""

from unittest import mock

import numpy as np
import pytest

import online.sparse
from online.batch import Batch
from online.experts.popularity import Popularity
from online.experts.rules import SequentialRules
from state.tables import sha256_of
from tests.online.expert_tools import learn, look, make, mass, stored, text
from tests.small import small_batch


def test_popularity_counts() -> None:
    """All-time popularity is the count of events; a half-life halves an event's weight after that many events."""
    base = text()
    ever, lately = Popularity("a", np.inf, base), Popularity("b", 2.0, base)
    batches = [small_batch([[], []], [3, 4]), small_batch([[], []], [4, 5])]
    learn(ever, batches)
    learn(lately, batches)
    nobody = small_batch([[]], [0])
    counts = np.array([0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0]) / 4
    np.testing.assert_allclose(mass(look(ever, nobody).feature[0]), counts, atol=1e-6)
    decayed = 2.0 ** np.array([-2, -1.5, -0.5]) + [0, 2**-1.0, 0]
    np.testing.assert_allclose(mass(look(lately, nobody).feature[0, 3:6]), decayed / decayed.sum(), rtol=1e-5)


def test_popularity_never_overflows() -> None:
    """An event's weight grows without end; the table is rescaled, and ratios stay."""
    expert = Popularity("p", 1.0, text())
    for _ in range(100):
        learn(expert, [small_batch([[]] * 32, [3, 4] * 16)])
    assert expert.tables()["weight"][0] <= 2.0**33 * 1e12
    got = mass(look(expert, small_batch([[]], [0])).feature[0])
    assert got[4] / got[3] == pytest.approx(2.0, rel=1e-4)


def test_rules_count_what_followed() -> None:
    """T[q, i] grows by 1 / d when i comes d items after q; repeats count too."""
    rules = SequentialRules(3, 0.5, text())
    learn(rules, [small_batch([[2, 1], [2]], [3, 2])])
    got = look(rules, small_batch([[2], [1], [5, 2], [2, 1]], [0, 0, 0, 0], [[], [], [], []]))
    followed_2, followed_1 = 1 / np.sqrt(3), 0.5 / np.sqrt(1.5)
    np.testing.assert_allclose(mass(got.feature[0, [2, 3]]), 0.5, rtol=1e-5)
    np.testing.assert_allclose(mass(got.feature[1, [2, 3]]), [0, 1], atol=1e-6)
    np.testing.assert_allclose(mass(got.feature[2, [2, 3]]), 0.5, rtol=1e-5)
    both = np.array([followed_2, followed_2 + 0.5 * followed_1])
    np.testing.assert_allclose(mass(got.feature[3, [2, 3]]), both / both.sum(), rtol=1e-5)
    assert np.count_nonzero(got.item >= 0) == 7


def crowded_batches(count: int) -> list[Batch]:
    """Item 0 is followed by ever new items, and by item 1 every other time."""
    return [small_batch([[0], [0]], [2 + number % 90, 1], seen=[[], []], items=100) for number in range(count)]


def test_rows_of_the_rules_are_bounded() -> None:
    """A row holds ROW_MAX items at most, and what it forgets is what happened least."""
    with mock.patch.object(online.sparse, "ROW_MAX", 16):
        rules = make("sequential_rules", text(100))
        for number, batch in enumerate(crowded_batches(90)):
            learn(rules, [batch])
            assert rules.tables()["rules.sizes"].max() <= 16
            assert look(rules, batch, 1).item[0, 0] == 1 or number == 0


@pytest.mark.parametrize("cut", [3, 10, 13, 14, 15, 16, 40])
def test_rows_forget_alike_after_a_restore(cut: int) -> None:
    """When a row forgets depends on what it holds, not on how its memory was laid out before a restart."""
    with mock.patch.object(online.sparse, "ROW_MAX", 16):
        batches = crowded_batches(60)
        rules = learn(make("sequential_rules", text(100)), batches[:cut])
        restored = make("sequential_rules", text(100))
        restored.load(stored(rules))
        for batch in batches[cut:]:
            learn(rules, [batch])
            learn(restored, [batch])
            assert sha256_of(restored.tables()) == sha256_of(rules.tables())
