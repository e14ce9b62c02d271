"""Slices of a run: which events a mean is taken over, so that a good mean cannot hide who is served badly."""

import numpy as np
from numpy.typing import NDArray

from online.evaluation.outcomes import Outcomes, earlier

HEADLINES = {
    "all": "every event, first events of new users and new items too",
    "last_80": "without the first 20 % of events, the burn-in on which settings may be chosen",
    "last_10_known_user": "the last 10 % of events, of users who had an event before: comparable with a split by time",
}
"""The slices of the headline figures -> what each holds."""

SLICES = {
    **HEADLINES,
    "user_event_1": "the user's first event: all that is known is what others do",
    "user_events_2_to_5": "the user's events 2 to 5",
    "user_events_6_to_50": "the user's events 6 to 50",
    "user_events_over_50": "the user's events from 51 on",
    "second_event": "the user's second event: one item is known",
    "fifth_event": "the user's fifth event",
    "item_event_1": "the item's first event of the log: only its text is known",
    "item_under_20_events": "items with 1 to 19 earlier events",
    "item_20_events_and_more": "items with 20 and more earlier events",
    "last_10_new_user": "the last 10 % of events, of users whose first event is among them",
    "last_10_old_user": "the last 10 % of events, of users who came before them",
    "last_10_new_item": "the last 10 % of events, of items whose first event is among them",
}
"""All slices -> what each holds."""


def slice_masks(run: Outcomes) -> dict[str, NDArray[np.bool_]]:
    """Return slice -> where its events are, shape (n,); scored or not."""
    n = run.n
    index = np.arange(n)
    cut = n * 9 // 10
    last = index >= cut
    before = earlier(run.item)
    user_before = index - _since_first(run.user) < cut  # the first event here; `past` may reach back further
    item_before = index - _since_first(run.item) < cut
    old_user = user_before | (run.past > earlier(run.user))
    masks = (
        np.ones(n, np.bool_),
        index >= n // 5,
        last & (run.past > 0),
        run.past == 0,
        (run.past >= 1) & (run.past <= 4),
        (run.past >= 5) & (run.past <= 49),
        run.past >= 50,
        run.past == 1,
        run.past == 4,
        before == 0,
        (before >= 1) & (before < 20),
        before >= 20,
        last & ~old_user,
        last & old_user,
        last & ~item_before,
    )
    return dict(zip(SLICES, masks, strict=True))


def _since_first(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return how many events each stands behind the first one of its code, shape (n,)."""
    first = np.full(int(codes.max(initial=-1)) + 1, len(codes), np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    return np.arange(len(codes)) - first[codes]
