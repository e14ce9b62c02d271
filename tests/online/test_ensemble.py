"""Laws of the line-up at work: neither threads nor the cut into batches change a bit, and no error is hidden."""

from collections.abc import Iterable
from unittest import mock

import numpy as np
import pytest

from online.batch import Batch
from online.blend import Blend
from online.experts import ensemble
from online.experts.ensemble import Ensemble
from online.experts.lineup import Lineup, lineup
from online.prequential import predict_and_learn, score_candidates
from state.tables import sha256_of
from tests.online.expert_tools import random_batches, text
from tests.small import LEARNING

KEEP = 4


def advanced(parts: Lineup, batches: Iterable[Batch]) -> tuple[list[bytes], list[str]]:
    """Return all that was said of the events, and the fingerprints of all parts and of the blend at the end."""
    blend = Blend(parts.columns, 0.1, 0.1, 5, 0.01, 7)
    shape = len(parts.experts), KEEP, len(parts.columns)
    said = []
    for batch, states in Ensemble(parts).passing(batches, learns=True):
        predicted = predict_and_learn(states, blend.state, batch, shape, learns=True)
        said += [ranks.tobytes() + p.tobytes() for ranks, p in zip(predicted.ranks.T, predicted.chance.T, strict=True)]
    return said, [*(sha256_of(part.tables()) for part in parts.parts), sha256_of(blend.tables())]


def everything() -> Lineup:
    return lineup(LEARNING, "all", text())


def without_slow() -> Lineup:
    parts = everything()
    return Lineup([part for part in parts.experts if part not in parts.slow], parts.signals, [])


def test_threads_change_no_bit() -> None:
    """Slow experts a batch ahead, and all in turn, say and learn the same."""
    batches = random_batches(30)
    with mock.patch.object(ensemble, "_WORTH", 1):
        beside = advanced(everything(), batches)
    assert advanced(everything(), batches) == beside


def test_a_cut_changes_no_bit() -> None:
    """What is predicted and learned event by event is the same in batches of any size."""
    batches = random_batches(30)
    singles = [one for batch in batches for one in cut(batch)]
    assert len(singles) == 4 * len(batches)
    assert advanced(without_slow(), batches) == advanced(without_slow(), singles)


def cut(batch: Batch) -> Iterable[Batch]:
    """Yield each event as a batch of its own."""
    for e in range(len(batch.target)):
        one = slice(e, e + 1)
        seen = slice(int(batch.seen_from[e]), int(batch.seen_from[e + 1]))
        each = {name: np.ascontiguousarray(getattr(batch, name)[one]) for name in EACH}
        yield batch._replace(seen=batch.seen[seen], seen_from=np.array([0, seen.stop - seen.start], np.int32), **each)


EACH = ("history", "target", "scored", "past", "own_from", "own_to", "basket", "position", "gap_ms")


def test_scoring_is_what_predicts() -> None:
    """The candidates of a user's list are scored as those of the user's next event, and nothing is learned."""
    parts, batches = everything(), random_batches(12)
    blend = Blend(parts.columns, 0.1, 0.1, 5, 0.01, 7)
    shape = len(parts.experts), KEEP, len(parts.columns)
    at_work = Ensemble(parts)
    for batch, states in at_work.passing(batches[:10], learns=True):
        predict_and_learn(states, blend.state, batch, shape, learns=True)
    before = [*(sha256_of(part.tables()) for part in parts.parts), sha256_of(blend.tables())]
    for batch, states in at_work.passing(batches[10:], learns=False):
        found = score_candidates(states, blend.state, batch, shape)
        ranks = predict_and_learn(states, blend.state, batch, shape, learns=False).ranks
        for e in np.flatnonzero(batch.scored):
            item, z = found.item[e, : found.n[e]].tolist(), found.score[e]
            if batch.target[e] in item:
                assert ranks[0, e] == np.count_nonzero(z[: len(item)] >= z[item.index(batch.target[e])])
    assert [*(sha256_of(part.tables()) for part in parts.parts), sha256_of(blend.tables())] == before


@pytest.mark.parametrize("call", ["prepare", "learn"])
def test_an_error_on_a_thread_comes_out(call: str) -> None:
    """At the latest when all batches have passed."""
    parts = everything()
    (head,) = parts.slow
    with (
        mock.patch.object(ensemble, "_WORTH", 1),
        mock.patch.object(head, call, side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        advanced(parts, random_batches(2))
    assert np.isfinite(head.tables()["Y"]).all()
