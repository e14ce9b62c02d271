"""Laws of fresh items: the fewer events an item had, the more its text counts."""

import numpy as np

from online.experts.fresh import FreshText
from online.experts.text import FrozenText
from tests.online.expert_tools import learn, look, text
from tests.small import small_batch


def test_text_counts_by_freshness() -> None:
    """1 / (1 + events), and times this the products with the mean of the newest items and with the newest."""
    base = text()
    fresh = learn(
        FreshText(FrozenText(2, 0.5, 4.0, 5, base), base),
        [small_batch([[], [], []], [3, 5, 3]), small_batch([[3]], [3])],
    )
    got = look(fresh, small_batch([[4, 2, 9]], [1], [[]])).columns[:, 0]
    events = np.bincount([3, 5, 3, 3], minlength=len(base))
    mean = (base[4] + 0.5 * base[2]) / np.sqrt(1.25)
    np.testing.assert_allclose(got[0], 1 / (1 + events), rtol=1e-6)
    np.testing.assert_allclose(got[1], 4 * base @ mean / (1 + events), atol=1e-5)
    np.testing.assert_allclose(got[2], 4 * base @ base[4] / (1 + events), atol=1e-5)


def test_text_follows_its_item() -> None:
    """A moved text is read from the catalogue's own vectors."""
    base = text()
    fresh, query = FreshText(FrozenText(2, 0.5, 4.0, 5, base), base), small_batch([[4]], [1], [[]])
    base[5] += 1
    np.testing.assert_allclose(look(fresh, query).columns[1, 0, 5], 4 * base[5] @ base[4], rtol=1e-4)
