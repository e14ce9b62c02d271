"""Each model by slice with its uncertainty, and our model minus each other, event by event on the same events."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online.evaluation.bootstrap import Column, Interval, bootstrap
from online.evaluation.log_loss import log_losses
from online.evaluation.outcomes import OWN, Outcomes
from online.evaluation.ranks import hit_rate, ndcg
from online.evaluation.slices import SLICES, slice_masks
from state.errors import HeadwaterError

MEASURES = ("hr@10", "ndcg@10", "log_loss")
MORE_IS_BETTER = {"hr@10": 1, "ndcg@10": 1, "log_loss": -1}


class Compared(NamedTuple):
    """Run B minus run A on one slice."""

    n: int  # scored events
    users: int
    a: dict[str, float]  # measure -> mean
    b: dict[str, float]
    difference: dict[str, Interval]

    def verdict(self, measure: str) -> str:
        """Tell whether B is better."""
        return self.difference[measure].verdict(MORE_IS_BETTER[measure])


def by_slice(run: Outcomes, measures: Sequence[str] = ("hr@10", "ndcg@10")) -> dict[str, Any]:
    """Return slice -> `n`, `users`, `share` of the scored events, and per model what `_model` returns."""
    gains = {model: _gains(ranks, measures) for model, ranks in run.ranks.items()}
    scored = run.scored()
    everything = max(1, int(np.count_nonzero(scored)))
    found = {}
    for name, mask in slice_masks(run).items():
        inside = mask & scored
        n = int(np.count_nonzero(inside))
        found[name] = {
            "about": SLICES[name],
            "n": n,
            "users": len(np.unique(run.user[inside])),
            "share": round(n / everything, 6),
            "models": _models(run, gains, np.flatnonzero(mask), measures),
        }
    return found


def _models(
    run: Outcomes, gains: dict[str, dict[str, NDArray[np.float64]]], inside: NDArray[np.int64], measures: Sequence[str]
) -> dict[str, Any]:
    """Return model -> measure -> mean with interval and, but for ours, `minus`: ours minus it where both are scored."""
    if OWN not in gains:
        return {}
    intervals = iter(bootstrap(run.user[inside], _columns(run, gains, inside, measures)))
    found: dict[str, Any] = {}
    for model in gains:
        found[model] = {"n": int(np.count_nonzero(run.scored(model)[inside]))}
        for measure in measures:
            mean, minus = next(intervals), next(intervals)
            found[model][measure] = mean.as_dict()
            if model != OWN:
                found[model][measure]["minus"] = {**minus.as_dict(), "verdict": minus.verdict()}
    return found


def _columns(
    run: Outcomes, gains: dict[str, dict[str, NDArray[np.float64]]], inside: NDArray[np.int64], measures: Sequence[str]
) -> Iterator[Column]:
    """Yield of each model and measure its own values, and ours less these."""
    own_scored = run.scored()[inside]
    for model, own in gains.items():
        counted = run.scored(model)[inside]
        for measure in measures:
            value = own[measure][inside]
            yield Column(value, counted)
            yield Column(gains[OWN][measure][inside] - value, counted & own_scored)


def _gains(ranks: NDArray[np.int32], measures: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    return {measure: {"hr@10": hit_rate, "ndcg@10": ndcg}[measure](ranks) for measure in measures}


def compare(a: Outcomes, b: Outcomes, model: str = OWN) -> dict[str, Compared]:
    """Return slice -> run B minus run A, for one model; log-loss for ours alone.

    Raises:
        HeadwaterError: the runs do not hold the same events, do not score the same, or lack the model.
    """
    check_same_events(a, b, model)
    return compare_in(a, b, slice_masks(a), model)


def compare_in(
    a: Outcomes, b: Outcomes, masks: Mapping[str, NDArray[np.bool_]], model: str = OWN
) -> dict[str, Compared]:
    """Return slice -> run B minus run A of the same events, for slices given as masks of shape (n,)."""
    measures = MEASURES if model == OWN else MEASURES[:2]
    values = [[_values(run, model, measure) for measure in measures] for run in (a, b)]
    scored = a.scored(model)
    found = {}
    for name, mask in masks.items():
        inside = np.flatnonzero(mask & scored)
        counted = np.ones(len(inside), np.bool_)
        columns = [Column(value[inside], counted) for run in values for value in run]
        columns += [Column(two[inside] - one[inside], counted) for one, two in zip(*values, strict=True)]
        intervals = bootstrap(a.user[inside], columns)
        means = [interval.mean for interval in intervals]
        size = len(measures)
        found[name] = Compared(
            len(inside),
            len(np.unique(a.user[inside])),
            dict(zip(measures, means[:size], strict=True)),
            dict(zip(measures, means[size : 2 * size], strict=True)),
            dict(zip(measures, intervals[2 * size :], strict=True)),
        )
    return found


def check_same_events(a: Outcomes, b: Outcomes, model: str = OWN) -> None:
    """Hold that two runs can be compared event by event; see `compare`."""
    for name, run in (("A", a), ("B", b)):
        if model not in run.ranks:
            raise HeadwaterError(
                f"run {name} has no model {model!r}; it has {', '.join(run.ranks) or 'none'}; name one that both have"
            )
    if a.n != b.n:
        raise HeadwaterError(
            f"run A has {a.n:,} accepted events, run B {b.n:,}; expected the same events in both; "
            "replay the same log, with the same --limit and lateness"
        )
    names_a, names_b = _identities(a), _identities(b)
    for column, told in (("user", "user"), ("item", "item"), ("at_ms", "time")):
        one, two = names_a[column], names_b[column]
        differ = np.flatnonzero(one != two)
        if len(differ):
            at = int(differ[0])
            raise HeadwaterError(
                f"event {at + 1:,} of run A has {told} {one[at]}, of run B {two[at]} ({len(differ):,} of {a.n:,} "
                "differ); expected the same events in both; replay the same log, with the same column mapping and tick"
            )
    differ = np.flatnonzero(a.scored(model) != b.scored(model))
    if len(differ):
        raise HeadwaterError(
            f"event {int(differ[0]) + 1:,} is scored in one run only ({len(differ):,} of {a.n:,} events); expected the "
            "same candidates policy in both; replay with the same --candidates"
        )


def _identities(run: Outcomes) -> dict[str, NDArray[Any]]:
    users, items = np.array(run.users, object), np.array(run.items, object)
    return {"user": users[run.user], "item": items[run.item], "at_ms": run.at_ms}


def _values(run: Outcomes, model: str, measure: str) -> NDArray[np.float64]:
    return log_losses(run) if measure == "log_loss" else _gains(run.ranks[model], (measure,))[measure]
