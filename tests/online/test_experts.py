"""Laws of every expert and signal in the line-up: to add one is to have these checks, to learn a lesson to add one."""

import numpy as np
import pytest

from online.batch import Batch, BatchBuilder, Scores
from online.experts.lineup import lineup
from online.history import History
from online.kernels import MASKED, UNRANKED
from online.settings import Learning
from state.tables import sha256_of
from tests.online.expert_tools import N, learn, look, make, mass, parts_of, random_batches, shown_by, stored, text
from tests.small import LEARNING, small_batch

LINEUP = lineup(LEARNING, "not_in_basket", np.zeros((1, 2), np.float32))
FROZEN = ["frozen_text", "own_items", "own_sequence"]  # the past that the last two read is the user's state
LEARNING_NAMES = [expert.name for expert in LINEUP.experts if expert.name not in FROZEN]
every_part = pytest.mark.parametrize("name", [part.name for part in LINEUP.parts])
every_expert = pytest.mark.parametrize("name", [expert.name for expert in LINEUP.experts])
every_learning_expert = pytest.mark.parametrize("name", LEARNING_NAMES)
QUERY = small_batch([[4, 2], [], [7, 7, 1, 0, 3], [11]], [5, 0, 2, 4])


def preference(feature: Scores, target: int) -> float:
    """Return the target's log probability among what the event may show."""
    shown = feature[~np.isnan(feature)].astype(np.float64)
    return float(feature[target] - np.log(np.exp(shown).sum()))


@every_expert
def test_what_is_put_forward_is_the_best(name: str) -> None:
    """The items put forward are those with the best features, and the rank is the target's place among them."""
    expert = learn(make(name), random_batches(9))
    for batch in [*random_batches(4, seed=3), small_batch([[4, 2], [1]], [5, 3], [[0, 4], []], closed=[3, 7, 8])]:
        one = look(expert, batch, keep=4)
        for e, target in enumerate(batch.target.tolist()):
            items, feature = one.item[e][one.item[e] >= 0], one.feature[e]
            assert np.isin(items, shown_by(batch, e)).all()
            assert len(set(items.tolist())) == len(items)
            rest = np.setdiff1d(shown_by(batch, e), items)
            assert not len(items) or not len(rest) or feature[items].min() >= feature[rest].max() - 1e-5
            if not batch.scored[e]:
                assert one.rank[e] == 0
            elif one.rank[e] == UNRANKED:
                assert target not in items
            else:
                clearly = np.nansum(feature > feature[target] + 1e-5)
                assert clearly < one.rank[e] <= np.nansum(feature >= feature[target] - 1e-5)


@every_part
def test_a_look_leaves_no_trace(name: str) -> None:
    """Looking, at users nobody has seen too, changes no table and no later look."""
    expert = learn(make(name), random_batches(5))
    before, first = sha256_of(expert.tables()), look(expert, QUERY).tobytes()
    for batch in random_batches(3, seed=9):
        look(expert, batch)
    assert sha256_of(expert.tables()) == before
    assert look(expert, QUERY).tobytes() == first


@every_learning_expert
def test_the_same_query_scores_differently_after_an_update(name: str) -> None:
    """What happened becomes likelier for the same query: the model that scores is the model that learned."""
    expert = learn(make(name), random_batches(5))
    before = preference(look(expert, QUERY).feature[0], 5)
    tables = sha256_of(expert.tables())
    learn(expert, [small_batch([[4, 2]], [5])] * 3)
    assert sha256_of(expert.tables()) != tables
    assert preference(look(expert, QUERY).feature[0], 5) > before + 1e-3


@pytest.mark.parametrize("name", FROZEN)
def test_what_is_frozen_learns_nothing(name: str) -> None:
    """Text is frozen, and own pasts advance without the expert."""
    expert = make(name)
    before = look(expert, QUERY).tobytes()
    learn(expert, random_batches(5))
    assert look(expert, QUERY).tobytes() == before
    assert expert.tables() == {}


@every_part
def test_features_are_finite(name: str) -> None:
    """Every feature is a finite float32, before any event, without a history and after many events."""
    expert = make(name)
    for batches in ([], random_batches(60)):
        learn(expert, batches)
        got = look(expert, QUERY).columns
        for e in range(got.shape[1]):
            assert np.isfinite(got[:, e, shown_by(QUERY, e)]).all()
            assert np.abs(got[:, e, shown_by(QUERY, e)]).max() < -MASKED / 1e10


@every_expert
def test_nothing_may_be_shown(name: str) -> None:
    """A user who has seen everything, and a catalogue that is closed, get nothing, and no error."""
    expert = learn(make(name), random_batches(5))
    for batch in (small_batch([[1]], [-1], [list(range(N))]), small_batch([[1]], [3], [[]], closed=range(N))):
        one = look(expert, batch)
        assert (one.item == -1).all()
        assert one.rank.tolist() == [UNRANKED if batch.scored[0] else 0]
        learn(expert, [batch] if batch.target[0] >= 0 else [])
        for table in expert.tables().values():
            assert np.isfinite(table).all()


@every_part
def test_storing_is_invisible(name: str) -> None:
    """Tables restored from bytes, optimiser moments included, give equal looks and equal learning ever after."""
    early, late = random_batches(6), random_batches(6, seed=1)
    expert = learn(make(name), early)
    restored = make(name, text(seed=5))
    restored.load(stored(expert))
    assert sha256_of(restored.tables()) == sha256_of(expert.tables())
    assert look(restored, QUERY).tobytes() == look(expert, QUERY).tobytes()
    learn(expert, late)
    learn(restored, late)
    assert sha256_of(restored.tables()) == sha256_of(expert.tables())
    assert look(restored, QUERY).tobytes() == look(expert, QUERY).tobytes()


@every_part
def test_equal_inputs_give_equal_bits(name: str) -> None:
    """Two experts that learned the same are the same."""
    one, other = learn(make(name), random_batches(8)), learn(make(name), random_batches(8))
    assert sha256_of(one.tables()) == sha256_of(other.tables())
    assert look(one, QUERY).tobytes() == look(other, QUERY).tobytes()


def in_more_items(batch: Batch, more: int) -> Batch:
    return batch._replace(open=np.append(batch.open, np.ones(more, np.uint8)))


@every_part
def test_growing_keeps_old_rows(name: str) -> None:
    """New items get finite features and leave the order of the old items alone; then they can be learned."""
    expert = learn(make(name), random_batches(5))
    before = look(expert, QUERY).feature
    grown, query = np.vstack([text(), text(3, seed=8)]), in_more_items(QUERY, 3)
    for part in parts_of(expert):
        part.grow(grown)
    after = look(expert, query).feature
    if name in ("head", "frozen_text"):
        np.testing.assert_allclose(
            after[:, :N] - after[:, 11:12], before - before[:, 11:12], rtol=1e-5, atol=1e-5, equal_nan=True
        )
    elif make(name).columns[0].log_p:
        np.testing.assert_allclose(mass(after[:, :N], N + 3), mass(before), atol=1e-6, equal_nan=True)
    else:
        np.testing.assert_array_equal(after[:, :N], before)
    assert np.isfinite(after[:, N:]).all()
    learn(expert, random_batches(5, N + 3))
    restored = make(name, grown)
    restored.load(stored(expert))
    assert look(restored, query).tobytes() == look(expert, query).tobytes()


@every_part
def test_batch_equals_single(name: str) -> None:
    """What is said of an event does not depend on the company it is looked at in, but for rounding."""
    expert = learn(make(name), random_batches(5))
    together = look(expert, QUERY)
    for e, target in enumerate(QUERY.target.tolist()):
        history = [item for item in QUERY.history[e].tolist() if item >= 0]
        alone = look(expert, small_batch([history], [target]))
        np.testing.assert_allclose(alone.columns[:, 0], together.columns[:, e], rtol=1e-5, atol=1e-5, equal_nan=True)
        assert alone.rank[0] == together.rank[e]


@every_part
def test_a_moved_text_moves_only_what_reads_it(name: str) -> None:
    """An item whose text changed scores by its new text where text counts, and keeps what was learned of it."""
    base = text()
    expert = learn(make(name, base), random_batches(5))
    before = look(expert, QUERY).feature
    moved = np.float32(0.5) * text(1, seed=77)[0]
    base[5] += moved  # as the catalogue does, in place
    expert.move(5, moved)
    after = look(expert, QUERY).feature
    reads_text = name in ("frozen_text", "head")
    change = np.abs((after[0] - after[0, 0]) - (before[0] - before[0, 0]))
    shown = shown_by(QUERY, 0)
    assert (change[shown] > 1e-4).tolist() == [row == 5 and reads_text for row in shown]


# A checkerboard whose answer is known: user u likes the items of u's parity; one of them is withheld.


ITEMS = 20


def checkerboard() -> list[tuple[int, int]]:
    """Return (user, item) events: each user takes all items of one parity but `withheld(user)`, in random order."""
    rng = np.random.default_rng(11)
    rounds = [rng.permutation([i for i in range(u % 2, ITEMS, 2) if i != withheld(u)]).tolist() for u in range(40)]
    return [(user, rounds[user][turn]) for turn in range(ITEMS // 2 - 1) for user in range(40)]


def withheld(user: int) -> int:
    return user % ITEMS


@pytest.mark.parametrize("name", ["sequential_rules", "head"])
def test_the_withheld_item_comes_back(name: str) -> None:
    """Learned in one pass from co-consumption alone: every user's best unseen item is the one of the user's parity."""
    base = np.random.default_rng(0).normal(size=(ITEMS, 8)).astype(np.float32) / np.float32(8)
    expert = make(name, base, Learning(dim=8))
    histories: dict[int, History[int]] = {}
    events = checkerboard()
    builder = BatchBuilder(20)
    for first in range(0, len(events), 16):
        builder.clear()
        for user, item in events[first : first + 16]:
            history = histories.setdefault(user, History(None, "unseen", lambda items: []))
            builder.add(history, item)
            history.advance(item, 0)
        learn(expert, [builder.build(np.ones(ITEMS, np.uint8))])
    right = 0
    for user, history in histories.items():
        builder.clear()
        builder.add(history)
        right += int(look(expert, builder.build(np.ones(ITEMS, np.uint8)), 1).item[0, 0] == withheld(user))
    assert right == len(histories)
