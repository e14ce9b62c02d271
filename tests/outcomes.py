"""Outcomes and delivered lists in short notation, for tests of the measures."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from online.evaluation.delivered import TOP, Delivered
from online.evaluation.outcomes import OWN, Outcomes, earlier
from online.kernels import UNRANKED

MISS = UNRANKED


def outcomes(
    ranks: Sequence[int] | Mapping[str, Sequence[int]],
    *,
    user: Sequence[int] | None = None,
    item: Sequence[int] | None = None,
    at_ms: Sequence[int] | None = None,
    past: Sequence[int] | None = None,
    action: Sequence[str] | None = None,
    catalogue: int = 100,
    chance: Sequence[float] | None = None,
    best: Sequence[float] | None = None,
) -> Outcomes:
    """Return a run of so many events; by default one user, one item, a second between two events."""
    by_model = ranks if isinstance(ranks, Mapping) else {OWN: ranks}
    n = len(next(iter(by_model.values())))
    users = np.array(user if user is not None else [0] * n, np.int32)
    items = np.array(item if item is not None else [0] * n, np.int32)
    names = ("", *sorted({*(action or ())} - {""}))
    own = np.array(by_model.get(OWN, [0] * n))
    p = np.array(chance if chance is not None else [0.5] * n)
    found = (own > 0) & (own < UNRANKED)
    return Outcomes(
        users=tuple(f"u{code}" for code in range(int(users.max(initial=-1)) + 1)),
        items=tuple(f"i{code}" for code in range(int(items.max(initial=-1)) + 1)),
        actions=names,
        user=users,
        item=items,
        at_ms=np.array(at_ms if at_ms is not None else np.arange(n) * 1000, np.int64),
        past=np.array(past, np.int32) if past is not None else earlier(users).astype(np.int32),
        action=np.array([names.index(name) for name in action or [""] * n], np.int32),
        catalogue=np.full(n, catalogue, np.int32),
        surprise=np.where(found, -np.log(p), 0.0).astype(np.float32),
        best=np.array(best if best is not None else [0.5] * n, np.float32),
        ranks={model: np.array(row, np.int32) for model, row in by_model.items()},
    )


def delivered(*lists: tuple[int, int, Sequence[int]]) -> Delivered:
    """Return lists given as (user, at_ms, items), in any order."""
    rows = sorted(lists, key=lambda one: one[:2])
    item = np.array([[*items, *[-1] * TOP][:TOP] for _, _, items in rows], np.int32).reshape(-1, TOP)
    return Delivered(np.array([row[0] for row in rows], np.int32), np.array([row[1] for row in rows], np.int64), item)


def random_run(n: int = 400, users: int = 40, items: int = 30, seed: int = 1) -> Outcomes:
    """Return events of a few models of different quality; none of it means anything."""
    rng = np.random.default_rng(seed)
    worst = {OWN: 30, "popularity_500": 50, "popularity_all_time": 90, "head": 45, "frozen_text": 200}
    ranks: dict[str, NDArray[np.int64]] = {model: rng.integers(1, high, n) for model, high in worst.items()}
    return outcomes(
        {model: row.tolist() for model, row in ranks.items()},
        user=rng.integers(0, users, n).tolist(),
        item=rng.integers(0, items, n).tolist(),
        chance=rng.uniform(0.01, 0.5, n).tolist(),
        best=rng.uniform(0.2, 0.9, n).tolist(),
    )
