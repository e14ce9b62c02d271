"""Laws of the peers: they are what their sources say, and each event is ranked before it is learned."""

from collections import deque

import numpy as np
import pytest
from numpy.typing import NDArray

from online.evaluation.outcomes import Outcomes, collect
from online.evaluation.peers.base import item_names, rank_peers
from online.evaluation.peers.raisgd import Raisgd
from online.evaluation.peers.river_mf import RiverBiasedMF
from online.kernels import UNRANKED
from online.record import Record
from state.errors import HeadwaterError
from tests.online.evaluation.test_outcomes import lines_of
from tests.small import ITEMS, START_MS, record, run, small_settings


class Spy:
    """Scores items by how often it learned them, and remembers what it was asked."""

    def __init__(self, items: int) -> None:
        self.name = "spy"
        self.counts = np.zeros(items)
        self.calls: list[tuple[str, int, int]] = []

    def scores(self, user: int) -> NDArray[np.float64]:
        self.calls.append(("rank", user, -1))
        return np.where(self.counts > 0, self.counts, -np.inf)

    def learn(self, user: int, item: int) -> None:
        self.calls.append(("learn", user, item))
        self.counts[item] += 1


def recorded(records: list[Record]) -> Outcomes:
    return collect(lines_of(run(records).metrics))


def test_an_event_is_ranked_and_then_learned() -> None:
    """Every event is learned; a scored one is ranked just before, among what its user has not had."""
    taken = [("u", "a"), ("v", "a"), ("w", "b"), ("u", "b"), ("u", "b"), ("w", "a"), ("x", "c")]
    records = [record(n, START_MS + n, user, item) for n, (user, item) in enumerate(taken)]
    outcome = recorded(records)
    items = item_names(outcome, ITEMS)
    assert items == ["a", "b", "c", *ITEMS]
    spy = Spy(len(items))
    ranks = rank_peers([spy], records, small_settings(), outcome, items)["spy"]
    # a is unknown; then known; b unknown; b beside a, which u has had; a repeat; a (2) above b (3) but w had b; unknown
    assert ranks.tolist() == [UNRANKED, 1, UNRANKED, 1, 0, 1, UNRANKED]
    assert [what for what, *_ in spy.calls] == ["rank", "learn"] * 4 + ["learn"] + ["rank", "learn"] * 2
    assert [call[1:] for call in spy.calls if call[0] == "learn"] == [
        (outcome.users.index(user), items.index(item)) for user, item in taken
    ]


def test_a_sample_of_events_is_ranked() -> None:
    """As many as asked for, the same ones at every call; the others have rank 0, and all are learned."""
    records = [record(n, START_MS + 700 * n, f"u{n % 50}", ITEMS[n * n % 12]) for n in range(150)]
    outcome = recorded(records)
    first, second = (
        rank_peers([spy], records, small_settings(), outcome, outcome.items, sample=20)["spy"]
        for spy in (Spy(12), Spy(12))
    )
    assert np.count_nonzero(first) == 20
    assert first.tolist() == second.tolist()
    assert not first[~outcome.scored()].any()
    whole = rank_peers([Spy(12)], records, small_settings(), outcome, outcome.items)["spy"]
    assert (first[first > 0] == whole[first > 0]).all()


def test_another_log_is_refused() -> None:
    """Ranks of other events would be put beside ours."""
    records = [record(n, START_MS + n, "u", item) for n, item in enumerate(ITEMS[:3])]
    outcome = recorded(records)
    with pytest.raises(HeadwaterError, match="event 2 of the log is u on i02, the run recorded another"):
        rank_peers([Spy(12)], [records[0], records[2]], small_settings(), outcome, outcome.items)


def plain_raisgd(events: list[tuple[int, int]], a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    """The paper's algorithm with a deque, negatives moving the user alone."""
    rate, decay, queue = 0.2, 0.01, deque[int]()
    for user, item in events:
        for _ in range(min(20, len(queue))):
            j = queue.popleft()
            a[user] += rate * (-(a[user] @ b[j]) * b[j] - decay * a[user])
            queue.append(j)
        error, of_a = 1 - a[user] @ b[item], a[user].copy()
        a[user] += rate * (error * b[item] - decay * a[user])
        b[item] += rate * (error * of_a - decay * b[item])
        if item in queue:
            queue.remove(item)
        queue.append(item)


def test_raisgd_is_the_papers() -> None:
    """Factors after 300 events equal those of a plain loop; an item without an event has no score."""
    rng = np.random.default_rng(2)
    events = [
        (int(user), int(item)) for user, item in zip(rng.integers(0, 9, 300), rng.integers(0, 30, 300), strict=True)
    ]
    peer = Raisgd(9, 31)
    a, b = peer._a.astype(np.float64), peer._b.astype(np.float64)
    plain_raisgd(events, a, b)
    for user, item in events:
        peer.learn(user, item)
    np.testing.assert_allclose(peer._a, a, atol=1e-3)
    np.testing.assert_allclose(peer._b, b, atol=1e-3)
    assert peer.scores(0)[30] == -np.inf
    np.testing.assert_allclose(peer.scores(3)[:30], (b @ a[3])[:30], atol=1e-3)


def test_rivers_tables_are_its_predictions() -> None:
    """Scores differ from `predict_one` by the mean and the user's bias: a constant per user."""
    peer = RiverBiasedMF(4, 12)
    for n in range(200):
        peer.learn(n % 4, n * n % 12)
    for user in range(4):
        predicted = [peer._model.predict_one(user, item) for item in range(12)]  # type: ignore[no-untyped-call]
        difference = np.array(predicted) - peer.scores(user)
        np.testing.assert_allclose(difference, difference[0])


@pytest.mark.parametrize("peer", [Raisgd, RiverBiasedMF])
def test_peers_learn_who_likes_what(peer: type[Raisgd] | type[RiverBiasedMF]) -> None:
    """Even users take even items, odd users odd ones: after a while the right half ranks above the other."""
    made = peer(10, 10) if peer is Raisgd else peer(10, 10, rate=0.1)
    rng = np.random.default_rng(0)
    for _ in range(3000):
        user = int(rng.integers(10))
        made.learn(user, int(2 * rng.integers(5) + user % 2))
    for user in range(10):
        scores = made.scores(user)
        assert scores[user % 2 :: 2].mean() > scores[1 - user % 2 :: 2].mean()


class RunAway(Spy):
    """Answers no numbers."""

    def scores(self, user: int) -> NDArray[np.float64]:
        return np.full(len(self.counts), np.nan)


def test_a_peer_that_ran_away_ranks_nothing() -> None:
    """Without a number there is no score: a miss, and not an event that was not drawn."""
    records = [record(n, START_MS + n, "u", item) for n, item in enumerate(ITEMS[:3])]
    outcome = recorded(records)
    ranks = rank_peers([RunAway(12)], records, small_settings(), outcome, outcome.items)
    assert ranks["spy"].tolist() == [UNRANKED] * 3


def test_peers_are_repeatable() -> None:
    """Seeds, not chance."""
    for peer in (Raisgd, RiverBiasedMF):
        one, two = peer(3, 9), peer(3, 9)
        for n in range(60):
            one.learn(n % 3, n * n % 9)
            two.learn(n % 3, n * n % 9)
        assert one.scores(1).tolist() == two.scores(1).tolist()
