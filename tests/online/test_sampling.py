"""Laws of sampling: distinct rows, the events' own first, each as likely as is said."""

import numpy as np

from online.decayed import DecayedCounts, add_growing
from online.sampling import draw_rows, expected_draws

TARGETS = np.array([7, 3, 7, 0], np.int32)


def test_the_events_own_items_come_first() -> None:
    """Each once, and every event finds its own."""
    rows, place = draw_rows(1, np.zeros(1, np.int64), 30, TARGETS, 100)
    assert rows[:3].tolist() == [7, 3, 0]
    assert rows[place].tolist() == TARGETS.tolist()
    assert len(set(rows.tolist())) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < 100


def test_samples_follow_each_other() -> None:
    """Equal seed and number give equal samples; the next number and another seed give others."""
    drawn = np.zeros(1, np.int64)
    samples = [draw_rows(seed, drawn, 20, TARGETS, 1000)[0].tolist() for seed in (1, 1, 2)]
    assert drawn.tolist() == [3]
    assert samples[0] == draw_rows(1, np.zeros(1, np.int64), 20, TARGETS, 1000)[0].tolist()
    assert len({tuple(sample) for sample in samples}) == 3


def test_negatives_are_uniform() -> None:
    """Over many samples each item comes as often as any other."""
    drawn, counts = np.zeros(1, np.int64), np.zeros(50)
    for _ in range(4000):
        counts[draw_rows(5, drawn, 5, np.array([0], np.int32), 50)[0][1:]] += 1
    share = counts[1:] / 4000
    expected = 1 - (1 - 1 / 50) ** 5
    assert np.abs(share - expected).max() < 5 * np.sqrt(expected * (1 - expected) / 4000)


def test_how_likely_a_row_is() -> None:
    """As a negative by chance, as an event's item by how often it came lately."""
    events = DecayedCounts(10, np.inf)
    add_growing(np.array([4, 4, 4, 1], np.int32), events.growth, events.counts, events.weight)
    rows = np.array([4, 1, 9], np.int32)
    likely = expected_draws(rows, 5, 8, events.counts, events.weight)
    np.testing.assert_allclose(likely, [0.5 + 8 * 3 / 5, 0.5 + 8 * 1 / 5, 0.5])
