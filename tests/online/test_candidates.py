"""Laws of the candidates: the union of all top lists, with every expert's feature and rank in its place."""

import numpy as np
from numpy.typing import NDArray

from online.batch import Batch, Scores
from online.candidates import find_candidates
from online.experts.base import Column
from online.experts.ensemble import Ensemble
from online.experts.lineup import Lineup
from tests.small import small_batch

N = 9


class Fixed:
    """An expert with a fixed order: it puts forward `best`, gives item j the feature offset - j, and the rank 7."""

    def __init__(self, best: list[int], offset: float) -> None:
        self.name = "fixed"
        self.columns: tuple[Column, ...] = (Column("fixed", log_p=True),)
        self._best = best
        self._offset = offset

    def nominate(self, batch: Batch, item: NDArray[np.int32], rank: NDArray[np.int32]) -> None:
        item[:] = -1
        for e in range(len(item)):
            seen = batch.seen[batch.seen_from[e] : batch.seen_from[e + 1]]
            shown = [j for j in self._best if j not in seen][: item.shape[1]]
            item[e, : len(shown)] = shown
        rank[:] = 7

    def features(self, batch: Batch, item: NDArray[np.int32], n: NDArray[np.int32], out: Scores) -> None:
        for e in range(len(item)):
            out[0, e, : n[e]] = self._offset - item[e, : n[e]]

    def learn(self, batch: Batch) -> None: ...
    def grow(self, base: Scores) -> None: ...
    def move(self, row: int, moved: Scores) -> None: ...
    def tables(self) -> dict[str, NDArray[np.generic]]:
        return {}

    def load(self, tables: dict[str, NDArray[np.generic]]) -> None: ...


def test_candidates_are_the_union() -> None:
    """Each item once, in the order in which it was first put forward; features and ranks; a signal adds no item."""
    batch = small_batch([[], []], [3, 8], [[], [2]], items=N)
    lineup = Lineup([Fixed([2, 3, 5], 0.0), Fixed([3, 7], 10.0)], [Fixed([8], 20.0)])
    found = find_candidates(Ensemble(lineup), batch, 2)
    assert found.n.tolist() == [3, 3]
    assert found.item[0, :3].tolist() == [2, 3, 7]
    assert found.item[1, :3].tolist() == [3, 5, 7]
    assert found.at.tolist() == [1, -1]
    assert found.feature[:, 0, :3].tolist() == [[-2, -3, -7], [8, 7, 3], [18, 17, 13]]
    assert found.rank.tolist() == [[7, 7], [7, 7]]


def test_an_event_that_is_not_scored_has_no_target() -> None:
    """A repeat, and a user whose list is due, have no column, though the item may be a candidate."""
    batch = small_batch([[], []], [3, -1], [[3], []], items=N)
    assert not batch.scored.any()
    assert find_candidates(Ensemble(Lineup([Fixed([3, 8], 0.0)], [])), batch, 2).at.tolist() == [-1, -1]


def test_nothing_may_be_shown() -> None:
    """With every item excluded there are no candidates, and no error; nor with more to keep than there are items."""
    batch = small_batch([[]], [-1], [list(range(N))], items=N)
    assert find_candidates(Ensemble(Lineup([Fixed(list(range(N)), 0.0)], [])), batch, N + 5).n.tolist() == [0]
