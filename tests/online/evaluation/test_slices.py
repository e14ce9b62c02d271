"""Laws of the slices: by hand, and user and item slices each split the run."""

import numpy as np

from online.evaluation.slices import SLICES, slice_masks
from tests.outcomes import outcomes, random_run


def test_by_hand() -> None:
    """Ten events; the last tenth is the last event, of a new user on a new item."""
    run = outcomes([1] * 10, user=[0, 0, 1, 0, 0, 0, 0, 1, 2, 3], item=[0, 1, 0, 0, 0, 2, 0, 0, 0, 3])
    got = {name: np.flatnonzero(mask).tolist() for name, mask in slice_masks(run).items()}
    assert got == {
        "all": list(range(10)),
        "last_80": list(range(2, 10)),
        "last_10_known_user": [],
        "user_event_1": [0, 2, 8, 9],
        "user_events_2_to_5": [1, 3, 4, 5, 7],
        "user_events_6_to_50": [6],
        "user_events_over_50": [],
        "second_event": [1, 7],
        "fifth_event": [5],
        "item_event_1": [0, 1, 5, 9],
        "item_under_20_events": [2, 3, 4, 6, 7, 8],
        "item_20_events_and_more": [],
        "last_10_new_user": [9],
        "last_10_old_user": [],
        "last_10_new_item": [9],
    }


def test_bounds_of_the_buckets() -> None:
    """Events 1, 5, 6, 50 and 51 of a user; an item's 20th and 21st event."""
    masks = slice_masks(outcomes([1] * 60))
    edges = {name: np.flatnonzero(mask) + 1 for name, mask in masks.items() if name.startswith(("user", "item"))}
    assert {name: (own[0], own[-1]) for name, own in edges.items()} == {
        "user_event_1": (1, 1),
        "user_events_2_to_5": (2, 5),
        "user_events_6_to_50": (6, 50),
        "user_events_over_50": (51, 60),
        "item_event_1": (1, 1),
        "item_under_20_events": (2, 20),
        "item_20_events_and_more": (21, 60),
    }


def test_slices_split_the_run() -> None:
    """Each event lies in one slice by user and in one by item; new and old users split the last tenth."""
    run = random_run(997)
    masks = slice_masks(run)
    assert list(masks) == list(SLICES)
    for prefix in ("user_", "item_"):
        assert (np.sum([mask for name, mask in masks.items() if name.startswith(prefix)], axis=0) == 1).all()
    both = masks["last_10_new_user"].astype(int) + masks["last_10_old_user"]
    assert np.flatnonzero(both).tolist() == list(range(997 * 9 // 10, 997))
    assert both.max() == 1


def test_a_user_from_before_the_log_is_old() -> None:
    """After a restart a user's past reaches back further than the lines at hand."""
    masks = slice_masks(outcomes([1] * 20, user=[0] * 19 + [1], past=[*range(19), 7]))
    assert masks["last_10_old_user"][19]
    assert not masks["user_event_1"][19]
