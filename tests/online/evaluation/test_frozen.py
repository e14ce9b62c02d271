"""Laws of the frozen control: the same until the freeze, nothing is learned after it, and histories go on."""

import numpy as np
import pytest

from online.evaluation.frozen import Frozen, frozen_control, run_frozen
from online.evaluation.outcomes import OWN, collect
from state.errors import HeadwaterError
from state.tables import sha256_of
from tests.online.evaluation.test_outcomes import lines_of
from tests.outcomes import outcomes
from tests.small import ITEMS, START_MS, TICK_MS, record, run, small_learner, small_settings

RECORDS = [record(n, START_MS + 7000 * n, f"u{n % 13}", ITEMS[(n * n + n % 5) % 12]) for n in range(300)]


def test_the_same_until_the_freeze() -> None:
    """Ranks are those of the run up to the end of the tick in which the cut lies, and others later."""
    settings = small_settings("all")
    online = collect(lines_of(run(RECORDS, settings).metrics))
    frozen, first = run_frozen(RECORDS, small_learner(settings), settings, 150)
    assert 150 <= first < 165
    assert (RECORDS[first].at_ms - START_MS) // TICK_MS > (RECORDS[first - 1].at_ms - START_MS) // TICK_MS
    for model in online.ranks:
        assert online.ranks[model][:first].tolist() == frozen.ranks[model][:first].tolist()
    assert online.ranks[OWN].tolist() != frozen.ranks[OWN].tolist()
    assert online.past.tolist() == frozen.past.tolist()  # histories go on
    assert online.ranks["frozen_text"].tolist() == frozen.ranks["frozen_text"].tolist()  # it never learned


def test_nothing_is_learned_after_it() -> None:
    """No table moves but the counters of events."""
    settings = small_settings("all")
    learner = small_learner(settings)
    run_frozen(RECORDS, learner, settings, 150)
    short = small_learner(settings)
    frozen, first = run_frozen(RECORDS[:0], short, settings, 0)
    assert (frozen.n, first) == (0, 0)
    run(RECORDS[: run_frozen(RECORDS, small_learner(settings), settings, 150).first], settings, short)
    tables, expected = ({k: v for k, v in one.tables().items() if k != "counts"} for one in (learner, short))
    changed = [name for name in tables if not np.array_equal(tables[name], expected[name])]
    assert changed == []
    assert sha256_of(learner.tables()) != sha256_of(short.tables())


def test_online_minus_frozen_by_hand() -> None:
    """On the tail alone: online hits all 30 events there, frozen the first 15."""
    users = list(range(60))
    online = outcomes([1] * 60, user=users)
    frozen = outcomes([1] * 45 + [50] * 15, user=users)
    got = frozen_control(online, Frozen(frozen, 30))
    tail = got["slices"]["tail"]
    assert (tail["n"], tail["users"]) == (30, 30)
    assert (tail["hr@10"]["online"], tail["hr@10"]["frozen"]) == (1.0, 0.5)
    assert (tail["hr@10"]["minus"]["mean"], tail["hr@10"]["minus"]["verdict"]) == (0.5, "better")
    assert got["first"] == 30
    assert (got["curve"]["at"][-1], got["curve"]["online"][-1], got["curve"]["frozen"][-1]) == (60, 1.0, 0.0)


def test_passes_that_differ_are_told() -> None:
    """Before the freeze both passes are one: anything else is a fault of ours."""
    with pytest.raises(HeadwaterError, match=r"event 2 was ranked otherwise by the second pass.*report it"):
        frozen_control(outcomes([1, 2, 3]), Frozen(outcomes([1, 1, 3]), 2))


def test_a_run_of_one_tick_has_no_tail() -> None:
    """The freeze comes after the only tick: nothing is left to compare, and nothing fails."""
    run_ = outcomes([1, 2])
    got = frozen_control(run_, Frozen(run_, 2))
    assert got["slices"]["tail"]["n"] == 0
    assert got["curve"]["at"] == []
