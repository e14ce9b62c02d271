"""Which items a sampled softmax sees, and how likely each was to be among them."""

from typing import Any, NamedTuple

import numpy as np

from online.compiled import compiled


class Sampling(NamedTuple):
    """When and how a softmax is learned from a sample of the items."""

    above: int  # items of a catalogue beyond which it is
    negatives: int  # items drawn per mini-batch, each as likely as any other, beside the batch's own
    seed: int


@compiled
def draw_rows(seed: int, drawn: Any, negatives: int, target: Any, items: int) -> Any:
    """Return distinct rows, the targets' first, shape (S,), and each target's place among them, shape (B,); int32.

    Args:
        seed: of the generator.
        drawn: samples so far, shape (1,), int64, which follow each other in one sequence; counted up.
        negatives: draws beside the targets; those that hit a row twice count once.
        target: rows, shape (B,), int32.
        items: rows of the catalogue.

    Source: Steele et al. 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
    """
    rows, place = np.empty(target.shape[0] + negatives, np.int32), np.empty(target.shape[0], np.int32)
    column = np.full(items, -1, np.int32)  # of a row that is in the sample
    n = 0
    for e in range(target.shape[0]):
        if column[target[e]] < 0:
            column[target[e]] = n
            rows[n] = target[e]
            n += 1
        place[e] = column[target[e]]
    state = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(drawn[0]) * np.uint64(0xBF58476D1CE4E5B9)
    drawn[0] += 1
    for _ in range(negatives):
        state += np.uint64(0x9E3779B97F4A7C15)
        x = state
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        j = np.int64(x % np.uint64(items))
        if column[j] < 0:
            column[j] = n
            rows[n] = j
            n += 1
    return rows[:n].copy(), place


@compiled
def expected_draws(rows: Any, negatives: int, batch: int, counts: Any, weight: Any) -> Any:
    """Return how often each row is expected in a sample: as a negative, and as an event's own item.

    Subtracting its logarithm from the scores makes the sampled softmax estimate the full one: the logQ correction. How
    often an item comes is measured by decayed counts. Source: Yi et al. 2019, "Sampling-bias-corrected neural modeling
    for large corpus item recommendations"; docs/quality.md, D3.

    Args:
        rows: shape (S,), int32.
        negatives: draws beside the events' own items.
        batch: events.
        counts, weight: see `DecayedCounts`.

    Returns:
        shape (S,), float32.
    """
    all_events = weight[0]
    for j in range(counts.shape[0]):
        all_events += counts[j]
    likely = np.empty(rows.shape[0], np.float32)
    for c in range(rows.shape[0]):
        likely[c] = negatives / counts.shape[0] + batch * counts[rows[c]] / all_events
    return likely
