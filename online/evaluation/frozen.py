"""The frozen control: the same run with all learning stopped at 90 % of the events; what it loses is worth learning."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from online.evaluation.curves import sliding
from online.evaluation.outcomes import OWN, Outcomes, collect
from online.evaluation.paired import MORE_IS_BETTER, check_same_events, compare_in
from online.evaluation.ranks import hit_rate
from online.evaluation.slices import SLICES, slice_masks
from online.learner import Learner
from online.loop import run_loop
from online.record import Record
from online.settings import Settings
from state.errors import HeadwaterError

POINTS = 60  # of the curve
_WHOLE = ("all", "last_80")  # slices that say nothing more of the tail
NOTE = (
    "Online is the run itself; frozen is the same run with all learning and counting stopped after the tick in which "
    "90 % of the events were over, while users' histories went on. Online minus frozen, paired by event, is what "
    "learning from each event was worth."
)


class Frozen(NamedTuple):
    """A run of which the end was frozen."""

    run: Outcomes
    first: int  # the first event after the freeze


def run_frozen(records: Iterable[Record], learner: Learner, settings: Settings, cut: int) -> Frozen:
    """Run the loop, stop all learning after the tick in which `cut` events are reached, and return what was recorded.

    Args:
        records, settings: of the run.
        learner: at its start; frozen afterwards.
        cut: accepted events.
    """

    first = 0

    def lines() -> Iterator[Mapping[str, Any]]:
        nonlocal first
        for result in run_loop(records, learner, settings):
            if result.metrics is not None:
                yield msgspec.to_builtins(result.metrics)
                if first < cut:
                    first = result.metrics.first + result.metrics.accepted
                if first >= cut:
                    learner.freeze()

    return Frozen(collect(lines()), first)


def frozen_control(online: Outcomes, control: Frozen) -> dict[str, Any]:
    """Return online minus frozen on the events after the freeze, with its uncertainty, and both as a curve.

    Raises:
        HeadwaterError: the runs differ before the freeze, where they must be equal.
    """
    frozen, first = control
    check_same_events(online, frozen)
    differ = np.flatnonzero(online.ranks[OWN][:first] != frozen.ranks[OWN][:first])
    if len(differ):
        raise HeadwaterError(
            f"event {int(differ[0]) + 1:,} was ranked otherwise by the second pass, though nothing was frozen yet; "
            "expected the same ranks in every pass; report it, with the log and the versions in report.json"
        )
    tail = np.arange(online.n) >= first
    masks = {"tail": tail, **{name: mask & tail for name, mask in slice_masks(online).items() if name not in _WHOLE}}
    about = {"tail": "all events after the freeze", **SLICES}
    slices = {}
    for name, one in compare_in(frozen, online, masks).items():
        slices[name] = {
            "about": about[name],
            "n": one.n,
            "users": one.users,
            **{
                measure: {
                    "online": one.b[measure],
                    "frozen": one.a[measure],
                    "minus": {
                        **one.difference[measure].as_dict(),
                        "verdict": one.difference[measure].verdict(MORE_IS_BETTER[measure]),
                    },
                }
                for measure in one.difference
            },
        }
    return {"note": NOTE, "model": OWN, "first": first, "slices": slices, "curve": _curve(online, frozen, first)}


def _curve(online: Outcomes, frozen: Outcomes, first: int) -> dict[str, Any]:
    """Return HR@10 of both over a sliding window, from the freeze on."""
    n = online.n - first
    window = max(1, n // 10)
    at: NDArray[np.int64] = (
        np.unique(np.linspace(min(window, n), n, POINTS).astype(np.int64)) if n else np.zeros(0, int)
    )
    both = {}
    for name, run in (("online", online), ("frozen", frozen)):
        ranks = run.ranks[OWN][first:]
        both[name] = sliding(hit_rate(ranks), ranks > 0, at, window)
    return {"window": window, "at": (at + first).tolist(), **both}
