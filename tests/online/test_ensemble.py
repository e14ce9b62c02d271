"""Laws of experts at work side by side: threads change no bit and hide no error."""

from unittest import mock

import numpy as np
import pytest

from online.batch import Batch
from online.candidates import find_candidates
from online.experts import ensemble
from online.experts.ensemble import Ensemble
from online.experts.lineup import lineup
from state.tables import sha256_of
from tests.online.expert_tools import random_batches, text
from tests.small import LEARNING


def advanced(batches: list[Batch]) -> tuple[list[bytes], list[str]]:
    """Return all that was said of the batches, and the fingerprints of all experts at the end."""
    experts = Ensemble(lineup(LEARNING, "all", text()))
    said = []
    for batch in batches:
        found = find_candidates(experts, batch, 4)
        said += [found.rank.tobytes(), *(found.feature[:, e, : found.n[e]].tobytes() for e in range(len(found.n)))]
        experts.learn(batch)
    experts.settle()
    return said, [sha256_of(part.tables()) for part in experts.lineup.parts]


def test_threads_change_no_bit() -> None:
    """Long kernels beside the others, and all of them in turn, say and learn the same."""
    batches = random_batches(30)
    with mock.patch.object(ensemble, "_WORTH", 1):
        beside = advanced(batches)
    assert advanced(batches) == beside


@pytest.mark.parametrize("call", ["nominate", "learn"])
def test_an_error_on_a_thread_comes_out(call: str) -> None:
    """At the latest when the work is settled."""
    experts = Ensemble(lineup(LEARNING, "all", text()))
    (batch,) = random_batches(1)
    head = next(expert for expert in experts.lineup.experts if expert.name == "head")
    with (
        mock.patch.object(ensemble, "_WORTH", 1),
        mock.patch.object(head, call, side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        find_candidates(experts, batch, 4)
        experts.learn(batch)
        experts.settle()
    experts.settle()
    assert np.isfinite(head.tables()["Y"]).all()
