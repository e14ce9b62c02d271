"""Laws of the explanation: it adds up, it changes nothing, and it is there only where it was asked for."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from online.learner import identity
from online.outputs import list_message
from online.record import Record
from online.why import MIXTURE, NETWORK
from tests.small import ITEMS, START_MS, record, run, small_catalogue, small_learner, small_settings

SETTINGS = small_settings("all")
TOP = replace(SETTINGS, why=True, top_k=len(ITEMS))


def log() -> list[Record]:
    """Return events of three users, with a pattern to learn."""
    return [
        record(n, START_MS + n * 20_000, f"u{n % 3}", ITEMS[(n * n + n % 3) % 7], event_id=f"e{n}") for n in range(60)
    ]


def test_shares_add_up_to_the_score() -> None:
    """The list holds all candidates here, so the shares of an item are its score less the list's mean score."""
    told = run(log(), TOP).lists
    assert len(told) > 20
    for made in told:
        assert made.why is not None
        assert list(made.why)[-2:] == [MIXTURE, NETWORK]
        shares = np.array(list(made.why.values()))
        assert shares.shape == (len(small_learner(TOP)._lineup.parts) + 2, len(made.items))
        np.testing.assert_allclose(shares.sum(axis=0), np.array(made.scores) - np.mean(made.scores), atol=2e-2)
    assert np.abs(np.array(list(told[-1].why.values()))).max() > 0.05  # type: ignore[union-attr]


def test_parts_are_what_they_say() -> None:
    """The popularity's share is in the order of what was popular; the text's share is another one."""
    why = run(log(), TOP).lists[-1].why
    assert why is not None
    assert why["popularity_500"] != why["frozen_text"]
    assert len({tuple(shares) for shares in why.values()}) > 5


def test_it_changes_no_list() -> None:
    """But for the field itself, lists and tables are the same to the byte, and without it there is no field."""
    plain, told = run(log(), SETTINGS), run(log(), replace(SETTINGS, why=True))
    assert [list_message(made) for made in plain.lists] == [
        list_message(msgspec.structs.replace(made, why=None)) for made in told.lists
    ]
    assert plain.final == told.final
    assert b'"why"' not in list_message(plain.lists[0]).value
    assert b'"why":{"popularity_500":[' in list_message(told.lists[0]).value


def test_it_can_be_switched_on_later() -> None:
    """A state learned without explanations is taken up by a job with them."""
    assert identity(SETTINGS, small_catalogue()) == identity(replace(SETTINGS, why=True), small_catalogue())


@pytest.mark.parametrize("candidates", ["unseen", "not_in_basket"])
def test_short_lists(candidates: str) -> None:
    """A list shorter than asked for, or empty, has shares for just its items."""
    settings = replace(small_settings(candidates), why=True, top_k=len(ITEMS))  # type: ignore[arg-type]
    for made in run(log(), settings).lists:
        assert made.why is not None
        assert {len(shares) for shares in made.why.values()} == {len(made.items)}
