"""Laws of comparisons: same events or a clear error; a real change is seen, none is not."""

import numpy as np
import pytest

from online.evaluation.outcomes import OWN, Outcomes
from online.evaluation.paired import by_slice, compare
from online.evaluation.slices import SLICES
from state.errors import HeadwaterError
from tests.outcomes import MISS, outcomes, random_run


def test_models_by_slice() -> None:
    """Means are those of the slice; `minus` is ours less the other's on the events that both scored."""
    users = list(range(30))
    ranks = {OWN: [1] * 15 + [MISS] * 15, "head": [0] * 10 + [MISS] * 5 + [1] * 15}
    got = by_slice(outcomes(ranks, user=users))
    assert list(got) == list(SLICES)
    whole = got["all"]
    assert (whole["n"], whole["users"], whole["share"]) == (30, 30, 1.0)
    assert whole["models"][OWN]["hr@10"]["mean"] == 0.5
    assert whole["models"]["head"]["n"] == 20
    assert whole["models"]["head"]["hr@10"]["mean"] == 0.75
    assert whole["models"]["head"]["hr@10"]["minus"]["mean"] == -0.5  # of the 20: 5 won, 15 lost
    assert whole["models"]["head"]["hr@10"]["minus"]["verdict"] == "worse"
    assert "minus" not in whole["models"][OWN]["hr@10"]
    assert got["user_events_over_50"]["n"] == 0


def changed(run: Outcomes, every: int, rank: int) -> Outcomes:
    """Return the run with another rank at some events."""
    ranks = run.ranks[OWN].copy()
    ranks[::every] = rank
    return run._replace(ranks={**run.ranks, OWN: ranks})


def test_a_change_is_seen() -> None:
    """Better, worse, and the same run; the same way for all measures."""
    run = random_run(4000, users=200)
    better = compare(run, changed(run, 5, 1))
    assert list(better) == list(SLICES)
    assert better["all"].verdict("hr@10") == better["last_80"].verdict("ndcg@10") == "better"
    assert better["all"].difference["hr@10"].mean == pytest.approx(
        better["all"].b["hr@10"] - better["all"].a["hr@10"], abs=2e-6
    )
    assert compare(changed(run, 5, 1), run)["all"].verdict("hr@10") == "worse"
    same = compare(run, run)["all"]
    assert {same.verdict(measure) for measure in same.difference} == {"no difference seen"}
    assert (same.n, same.users) == (4000, 200)


def test_log_loss_falls_when_better() -> None:
    """Less is better; another model than ours has none."""
    run = random_run(2000)
    surer = run._replace(surprise=run.surprise / 2)
    assert compare(run, surer)["all"].verdict("log_loss") == "better"
    assert set(compare(run, run, "head")["all"].difference) == {"hr@10", "ndcg@10"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"item": np.array([0, 1, 1], np.int32)}, "event 3 of run A has item i2, of run B i1 .1 of 3 differ.; exp"),
        ({"user": np.array([0, 0, 1], np.int32)}, "event 3 of run A has user u0, of run B u1.*same events in both"),
        ({"at_ms": np.array([0, 1, 2], np.int64)}, "event 2 of run A has time 1000, of run B 1 .*column mapping and t"),
        ({"ranks": {OWN: np.array([1, 1, 0], np.int32)}}, "event 3 is scored in one run only .1 of 3.*--candidates"),
        ({"ranks": {"head": np.array([1, 1, 1], np.int32)}}, "run B has no model 'headwater'; it has head; name one"),
    ],
    ids=["item", "user", "time", "scored", "model"],
)
def test_other_events_are_refused(change: dict[str, object], text: str) -> None:
    """The error names the first event that differs, and what to do."""
    run = outcomes([1, 2, 3], item=[0, 1, 2])._replace(users=("u0", "u1"))
    with pytest.raises(HeadwaterError, match=text):
        compare(run, run._replace(**change))  # type: ignore[arg-type]


def test_another_length_is_refused() -> None:
    """So is a run of another number of events."""
    with pytest.raises(HeadwaterError, match=r"run A has 3 accepted events, run B 2; .*same --limit"):
        compare(outcomes([1, 2, 3]), outcomes([1, 2]))


def test_names_matter_and_not_their_places() -> None:
    """Two runs may number users and items otherwise."""
    run = outcomes([1, 2, 3], item=[0, 1, 2])
    other = run._replace(items=("i2", "i0", "i1"), item=np.array([1, 2, 0], np.int32))
    assert compare(run, other)["all"].n == 3
