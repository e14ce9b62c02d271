"""What the delivered lists were like: what of the catalogue they showed, and what users then did with them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from online.evaluation.delivered import TOP, Delivered
from online.evaluation.outcomes import OWN, Outcomes, earlier
from online.evaluation.ranks import mean

TOP_SHARE = 0.01  # of the items that count as the most popular
NOTE = (
    "Of the first ten of each delivered list. Coverage: share of the catalogue that was shown to anybody. Novelty: "
    "mean of log2(1 / share), an item's share of the events before the list being (events + 1) / (all events + "
    "catalogue). The most popular are the 1 % of the catalogue with the most events of the whole log. Precision, "
    "recall, F1 and mean average precision hold a list against all items that the user took until the next list; "
    "lists after which the user did nothing more are left out."
)


def list_measures(run: Outcomes, delivered: Delivered) -> dict[str, Any]:
    """Return coverage, novelty and concentration of what was shown, and the measures of lists against what followed."""
    catalogue = max(int(run.catalogue[-1]) if run.n else 0, 1)
    shown = delivered.item[delivered.item >= 0]
    popular = _most_popular(run, catalogue)
    return {
        "note": NOTE,
        "lists": len(delivered.user),
        "catalogue": catalogue,
        "coverage@10": round(len(np.unique(shown)) / catalogue, 6),
        "novelty_bits": mean(_novelty(run, delivered, catalogue)),
        "novelty_bits_of_events": mean(_novelty_of_events(run, catalogue)),
        "top_1_percent_of_lists": mean(np.isin(shown, popular)),
        "top_1_percent_of_events": mean(np.isin(run.item, popular)),
        **_followed(run, delivered),
    }


def actions(run: Outcomes, delivered: Delivered) -> list[dict[str, Any]]:
    """Return by action its events, its HR@10, and its conversion.

    The conversion is the share of all delivered lists of which the user took one of the first ten items with this
    action until the next list. "" stands for events that name no action.
    """
    place = delivered.newest(run.user, run.at_ms)
    taken = delivered.position(place, run.item) > 0
    ranks = run.ranks.get(OWN, np.zeros(run.n, np.int32))
    found = []
    for code, name in enumerate(run.actions):
        of_action = run.action == code
        if of_action.any():
            scored = ranks[of_action & (ranks > 0)]
            converted = len(np.unique(place[of_action & taken]))
            found.append(
                {
                    "action": name,
                    "events": int(np.count_nonzero(of_action)),
                    "scored": len(scored),
                    "hr@10": mean(scored <= TOP),
                    "converted_lists": converted,
                    "conversion": round(converted / max(1, len(delivered.user)), 6),
                }
            )
    return found


def _followed(run: Outcomes, delivered: Delivered) -> dict[str, Any]:
    """Return precision, recall, F1 and mean average precision at ten, over the lists that an event followed."""
    place = delivered.newest(run.user, run.at_ms)
    there = place >= 0
    width = len(run.items) + 1
    pairs = np.unique(place[there] * width + run.item[there])  # an item taken twice is relevant once
    place, item = pairs // width, (pairs % width).astype(np.int32)
    lists, row, relevant = np.unique(place, return_inverse=True, return_counts=True)
    position = delivered.position(place, item)
    hit = np.zeros((len(lists), TOP))
    hit[row[position > 0], position[position > 0] - 1] = 1
    count = hit.sum(axis=1)
    f1 = 2 * count / (TOP + relevant)
    precisions = np.cumsum(hit, axis=1) / np.arange(1, TOP + 1)
    average = (precisions * hit).sum(axis=1) / np.minimum(relevant, TOP)
    return {
        "followed_lists": len(lists),
        "precision@10": mean(count / TOP),
        "recall@10": mean(count / relevant),
        "f1@10": mean(f1),
        "map@10": mean(average),
        "hit@10": mean(count > 0),
    }


def _novelty(run: Outcomes, delivered: Delivered, catalogue: int) -> NDArray[np.float64]:
    """Return the bits of each item shown, by its share of the events up to its list."""
    order = np.argsort(run.item, kind="stable")
    width = run.n + 1
    keys = run.item[order].astype(np.int64) * width + order
    upto = np.searchsorted(run.at_ms, delivered.at_ms, side="right")
    row, column = np.nonzero(delivered.item >= 0)
    item = delivered.item[row, column].astype(np.int64)
    events = np.searchsorted(keys, item * width + upto[row]) - np.searchsorted(keys, item * width)
    return _bits(events, upto[row], catalogue)


def _novelty_of_events(run: Outcomes, catalogue: int) -> NDArray[np.float64]:
    return _bits(earlier(run.item), np.arange(run.n), catalogue)


def _bits(events: NDArray[np.int64], upto: NDArray[np.int64], catalogue: int) -> NDArray[np.float64]:
    bits: NDArray[np.float64] = np.log2((upto + catalogue) / (events + 1.0))
    return bits


def _most_popular(run: Outcomes, catalogue: int) -> NDArray[np.int64]:
    counts = np.bincount(run.item)
    return np.argsort(-counts, kind="stable")[: max(1, round(TOP_SHARE * catalogue))]
