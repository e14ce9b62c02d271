"""Laws of the context: hashed alike however it is written, kept with the user, and worth something where it tells."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online.context import MOST, hash_context
from online.learner import Learner
from online.record import Record
from online.session import fold_tick
from online.settings import Learning
from state.tick import decode_share, encode_share
from tests.small import START_MS, TICK_MS, Run, record, run, small_catalogue, small_settings
from tests.strategies import quick

ITEMS = [f"i{n:02d}" for n in range(40)]
contexts = st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers(-9, 9), max_size=12)


def nobody(user: str) -> None:
    """Return the state of a user of whom nothing is known."""


@given(context=contexts, data=st.data())
@quick
def test_order_means_nothing(context: dict[str, str | float], data: st.DataObject) -> None:
    """Pairs in any order give equal numbers, at most MOST, each fit for 31 bits."""
    shuffled = dict(data.draw(st.permutations(list(context.items()))))
    codes = hash_context(context)
    assert hash_context(shuffled) == codes
    assert len(codes) == min(MOST, len(context))
    assert all(0 <= code < 2**31 for code in codes)


def test_pairs_are_told_apart() -> None:
    """By name and by value; a number is what it says, however it is written; there may be no context."""
    assert len({hash_context({name: value}) for name in ("age", "device") for value in ("a", "b", 1, 2)}) == 8
    assert hash_context({"age": 1}) == hash_context({"age": 1.0}) == hash_context({"age": "1"})
    assert hash_context(None) == hash_context({}) == ()


def test_it_is_kept_with_the_user() -> None:
    """The newest context of a user goes with the state; an event without one leaves it."""
    settings = small_settings()
    records = [
        record(0, START_MS, "u", "i01", context={"device": "tv", "age": 30}),
        record(1, START_MS + 1, "u", "i02"),
    ]
    folded = fold_tick(0, START_MS + TICK_MS - 1, records, nobody, settings)
    expected = hash_context({"device": "tv", "age": 30})
    assert folded.states["u"].history.context == expected
    (user,) = decode_share(encode_share(folded.share)).users
    assert [row.context for row in user.rows] == [expected, ()]


def by_country(told: bool) -> list[Record]:
    """Return events of many users with three events each, of one half of the items by the user's country."""
    rng = np.random.default_rng(1)
    records: list[Record] = []
    for turn in range(3):
        for user in range(400):
            country = user % 2
            item = ITEMS[20 * country + int(rng.integers(20))]
            context: dict[str, Any] = {"context": {"country": f"c{country}"}} if told else {}
            records.append(record(len(records), START_MS + 300 * len(records), f"u{user:03d}-{turn}", "i00", **context))
            records.append(record(len(records), START_MS + 300 * len(records), f"u{user:03d}-{turn}", item, **context))
    return records


def mean_rank(result: Run) -> float:
    """Return the mean rank of second events in the later half, by the head."""
    lines = result.metrics[len(result.metrics) // 2 :]
    ranks = [rank for line in lines for rank, past in zip(line.ranks["head"], line.past, strict=True) if past == 1]
    return float(np.mean(ranks))


def test_the_head_learns_what_a_context_means() -> None:
    """Users who are alike in all but country take items by country: the head knows, if the log says it."""
    settings = small_settings("not_in_basket", Learning(dim=6, hidden=4, batch=16))
    results = {
        told: run(by_country(told), settings, Learner(settings, small_catalogue(ITEMS))) for told in (True, False)
    }
    assert mean_rank(results[True]) < 13
    assert mean_rank(results[False]) > 17


def test_a_context_is_json() -> None:
    """Texts and numbers are read; anything deeper is a bad record."""
    good = record(0, START_MS, "u", "i01", context={"hour": 7, "device": "tv"})
    bad = good._replace(offset=1, value=json.dumps({"user": "u", "item": "i01", "context": {"a": [1]}}).encode())
    folded = fold_tick(0, START_MS + TICK_MS - 1, [good, bad], nobody, small_settings())
    assert [letter.reason for letter in folded.dead] == ["bad_schema"]
