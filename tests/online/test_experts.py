"""Laws of every expert in the lineup; to add an expert is to have these checks, to learn a lesson is to add a check."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

import online.sparse
from online.batch import Batch, BatchBuilder, Scores
from online.experts.base import Expert
from online.experts.head import Head
from online.experts.lineup import lineup
from online.experts.popularity import Popularity
from online.experts.rules import SequentialRules
from online.history import History
from online.kernels import MASKED, UNRANKED, mask_scores, softmax_gradient
from online.selection import FLOOR
from online.settings import Learning
from state.tables import Tables, decode_tables, encode_tables, sha256_of
from tests.small import LEARNING, copy_of, small_batch

N = 12
NAMES = [expert.name for expert in lineup(LEARNING, np.zeros((1, 2), np.float32))]
LEARNING_NAMES = [name for name in NAMES if name != "frozen_text"]
Arrays = Mapping[str, NDArray[Any]]
every_expert = pytest.mark.parametrize("name", NAMES)
every_learning_expert = pytest.mark.parametrize("name", LEARNING_NAMES)
QUERY = small_batch([[4, 2], [], [7, 7, 1, 0, 3], [11]], [5, 0, 2, 4])


def text(rows: int = N, seed: int = 5) -> Scores:
    vectors = np.random.default_rng(seed).normal(size=(rows, LEARNING.dim)) / np.sqrt(LEARNING.dim)
    return np.asarray(vectors, np.float32)


def make(name: str, base: Scores | None = None, learning: Learning = LEARNING) -> Expert:
    return next(expert for expert in lineup(learning, text() if base is None else base) if expert.name == name)


def random_batches(count: int, items: int = N, seed: int = 0) -> list[Batch]:
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(count):
        histories = [rng.permutation(items)[: rng.integers(0, 6)].tolist() for _ in range(LEARNING.batch)]
        batches.append(small_batch(histories, rng.integers(0, items, LEARNING.batch).tolist(), items=items))
    return batches


class Look(NamedTuple):
    """All that an expert says of a batch."""

    item: NDArray[np.int32]  # all that it puts forward, shape (B, N)
    rank: NDArray[np.int32]
    feature: Scores  # of every item, nan where the event may not show it; shape (B, N)

    def tobytes(self) -> bytes:
        """Return all of it, to be compared bit by bit."""
        return b"".join(part.tobytes() for part in self)


def look(expert: Expert, batch: Batch, keep: int | None = None) -> Look:
    B, items = len(batch.target), len(batch.open)
    nominated, rank = np.full((B, keep or items), -7, np.int32), np.full(B, -7, np.int32)
    expert.nominate(batch, nominated, rank)
    shown = [shown_by(batch, e) for e in range(B)]
    n = np.array([len(one) for one in shown], np.int32)
    item = np.zeros((B, max(1, n.max())), np.int32)
    for e, one in enumerate(shown):
        item[e, : len(one)] = one
    out = np.full(item.shape, np.nan, np.float32)
    expert.features(batch, item, n, out)
    feature = np.full((B, items), np.nan, np.float32)
    for e, one in enumerate(shown):
        feature[e, one] = out[e, : len(one)]
    return Look(nominated, rank, feature)


def shown_by(batch: Batch, e: int) -> list[int]:
    """Return what event e may show."""
    seen = batch.seen[batch.seen_from[e] : batch.seen_from[e + 1]].tolist()
    return [j for j in range(len(batch.open)) if batch.open[j] and j not in seen]


def learn(expert: Expert, batches: list[Batch]) -> Expert:
    """Look, then learn, batch after batch, as the learner does."""
    for batch in batches:
        look(expert, batch, keep=3)
        expert.learn(batch)
    return expert


def stored(expert: Expert) -> Tables:
    """Return the tables after a way through bytes."""
    return decode_tables(dict(encode_tables(expert.tables())))


def preference(feature: Scores, target: int) -> float:
    """Return the target's log probability among what the event may show."""
    shown = feature[~np.isnan(feature)].astype(np.float64)
    return float(feature[target] - np.log(np.exp(shown).sum()))


def mass(feature: Scores, items: int = N) -> Scores:
    """Return the share of the mass behind the features of an expert of masses."""
    return np.asarray(np.exp(feature.astype(np.float64)) - FLOOR / items, np.float32)


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


@every_expert
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


def test_frozen_text_learns_nothing() -> None:
    """Its name says so."""
    expert = make("frozen_text")
    before = look(expert, QUERY).tobytes()
    learn(expert, random_batches(5))
    assert look(expert, QUERY).tobytes() == before
    assert expert.tables() == {}


@every_expert
def test_features_are_finite(name: str) -> None:
    """Every feature is a finite float32, before any event, without a history and after many events."""
    expert = make(name)
    for batches in ([], random_batches(60)):
        learn(expert, batches)
        got = look(expert, QUERY).feature
        for e in range(len(got)):
            assert np.isfinite(got[e, shown_by(QUERY, e)]).all()
            assert np.abs(got[e, shown_by(QUERY, e)]).max() < -MASKED / 1e10


@every_expert
def test_nothing_may_be_shown(name: str) -> None:
    """A user who has seen everything, and a catalogue that is closed, get nothing, and no error."""
    expert = learn(make(name), random_batches(5))
    for batch in (small_batch([[1]], [-1], [list(range(N))]), small_batch([[1]], [3], [[]], closed=range(N))):
        one = look(expert, batch)
        assert (one.item == -1).all()
        assert one.rank.tolist() == [UNRANKED if batch.scored[0] else 0]
        expert.learn(batch) if batch.target[0] >= 0 else None
        for table in expert.tables().values():
            assert np.isfinite(table).all()


@every_expert
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


@every_expert
def test_equal_inputs_give_equal_bits(name: str) -> None:
    """Two experts that learned the same are the same."""
    one, other = learn(make(name), random_batches(8)), learn(make(name), random_batches(8))
    assert sha256_of(one.tables()) == sha256_of(other.tables())
    assert look(one, QUERY).tobytes() == look(other, QUERY).tobytes()


def in_more_items(batch: Batch, more: int) -> Batch:
    return batch._replace(open=np.append(batch.open, np.ones(more, np.uint8)))


@every_expert
def test_growing_keeps_old_rows(name: str) -> None:
    """New items get finite features and leave the order of the old items alone; then they can be learned."""
    expert = learn(make(name), random_batches(5))
    before = look(expert, QUERY).feature
    grown, query = np.vstack([text(), text(3, seed=8)]), in_more_items(QUERY, 3)
    expert.grow(grown)
    after = look(expert, query).feature
    if name in ("head", "frozen_text"):
        np.testing.assert_allclose(
            after[:, :N] - after[:, 11:12], before - before[:, 11:12], rtol=1e-5, atol=1e-5, equal_nan=True
        )
    else:
        np.testing.assert_allclose(mass(after[:, :N], N + 3), mass(before), atol=1e-6, equal_nan=True)
    assert np.isfinite(after[:, N:]).all()
    learn(expert, random_batches(5, N + 3))
    restored = make(name, grown)
    restored.load(stored(expert))
    assert look(restored, query).tobytes() == look(expert, query).tobytes()


@every_expert
def test_batch_equals_single(name: str) -> None:
    """What is said of an event does not depend on the company it is looked at in, but for rounding."""
    expert = learn(make(name), random_batches(5))
    together = look(expert, QUERY)
    for e, target in enumerate(QUERY.target.tolist()):
        history = [item for item in QUERY.history[e].tolist() if item >= 0]
        alone = look(expert, small_batch([history], [target]))
        np.testing.assert_allclose(alone.feature[0], together.feature[e], rtol=1e-5, atol=1e-5, equal_nan=True)
        assert alone.rank[0] == together.rank[e]


@every_expert
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


def test_a_repeat_teaches_the_head_nothing() -> None:
    """An event that no list could hold changes no table of the head, alone or beside others."""
    expert = learn(make("head"), random_batches(5))
    before = sha256_of(expert.tables())
    repeat = small_batch([[4, 2], [1]], [2, 1])
    assert not repeat.scored.any()
    learn(expert, [repeat])
    assert sha256_of(expert.tables()) == before


def test_a_masked_item_teaches_the_head_nothing() -> None:
    """The softmax is over the candidates: items that the user cannot be shown get no gradient as an output."""
    expert = make("head")
    before = copy_of(expert.tables())
    learn(expert, [small_batch([[4, 2]], [5])])
    after = expert.tables()
    unchanged = [row for row in range(N) if np.array_equal(before["Y"][row], after["Y"][row])]
    assert unchanged == [2, 4]


def test_popularity_counts() -> None:
    """All-time popularity is the count of events; a half-life halves an event's weight after that many events."""
    base = text()
    ever, lately = Popularity("a", np.inf, base), Popularity("b", 2.0, base)
    batches = [small_batch([[], []], [3, 4]), small_batch([[], []], [4, 5])]
    learn(ever, batches)
    learn(lately, batches)
    nobody = small_batch([[]], [0])
    counts = np.array([0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0]) / 4
    np.testing.assert_allclose(mass(look(ever, nobody).feature[0]), counts, atol=1e-6)
    decayed = 2.0 ** np.array([-2, -1.5, -0.5]) + [0, 2**-1.0, 0]
    np.testing.assert_allclose(mass(look(lately, nobody).feature[0, 3:6]), decayed / decayed.sum(), rtol=1e-5)


def test_popularity_never_overflows() -> None:
    """An event's weight grows without end; the table is rescaled, and ratios stay."""
    expert = Popularity("p", 1.0, text())
    for _ in range(100):
        learn(expert, [small_batch([[]] * 32, [3, 4] * 16)])
    assert expert.tables()["weight"][0] <= 2.0**33 * 1e12
    got = mass(look(expert, small_batch([[]], [0])).feature[0])
    assert got[4] / got[3] == pytest.approx(2.0, rel=1e-4)


def test_rules_count_what_followed() -> None:
    """T[q, i] grows by 1 / d when i comes d items after q; repeats count too."""
    rules = SequentialRules(3, 0.5, text())
    learn(rules, [small_batch([[2, 1], [2]], [3, 2])])
    got = look(rules, small_batch([[2], [1], [5, 2], [2, 1]], [0, 0, 0, 0], [[], [], [], []]))
    followed_2, followed_1 = 1 / np.sqrt(3), 0.5 / np.sqrt(1.5)
    np.testing.assert_allclose(mass(got.feature[0, [2, 3]]), 0.5, rtol=1e-5)
    np.testing.assert_allclose(mass(got.feature[1, [2, 3]]), [0, 1], atol=1e-6)
    np.testing.assert_allclose(mass(got.feature[2, [2, 3]]), 0.5, rtol=1e-5)
    both = np.array([followed_2, followed_2 + 0.5 * followed_1])
    np.testing.assert_allclose(mass(got.feature[3, [2, 3]]), both / both.sum(), rtol=1e-5)
    assert np.count_nonzero(got.item >= 0) == 7


def crowded_batches(count: int) -> list[Batch]:
    """Item 0 is followed by ever new items, and by item 1 every other time."""
    return [small_batch([[0], [0]], [2 + number % 90, 1], seen=[[], []], items=100) for number in range(count)]


def test_rows_of_the_rules_are_bounded() -> None:
    """A row holds ROW_MAX items at most, and what it forgets is what happened least."""
    with mock.patch.object(online.sparse, "ROW_MAX", 16):
        rules = make("sequential_rules", text(100))
        for number, batch in enumerate(crowded_batches(90)):
            learn(rules, [batch])
            assert rules.tables()["rules.sizes"].max() <= 16
            assert look(rules, batch, 1).item[0, 0] == 1 or number == 0


@pytest.mark.parametrize("cut", [3, 10, 13, 14, 15, 16, 40])
def test_rows_forget_alike_after_a_restore(cut: int) -> None:
    """When a row forgets depends on what it holds, not on how its memory was laid out before a restart."""
    with mock.patch.object(online.sparse, "ROW_MAX", 16):
        batches = crowded_batches(60)
        rules = learn(make("sequential_rules", text(100)), batches[:cut])
        restored = make("sequential_rules", text(100))
        restored.load(stored(rules))
        for batch in batches[cut:]:
            learn(rules, [batch])
            learn(restored, [batch])
            assert sha256_of(restored.tables()) == sha256_of(rules.tables())


# Gradients against finite differences of the loss in float64.


def head_loss(tables: Arrays, batch: Batch) -> float:
    """Return the sum over the scored events of -log softmax(scores over the candidates)[target]."""
    X, Y, b, positions = (tables[name].astype(np.float64) for name in ("X", "Y", "b", "positions"))
    loss = 0.0
    for e in np.flatnonzero(batch.scored).tolist():
        past = batch.history[e][batch.history[e] >= 0]
        weights = np.exp(positions[: len(past)])
        h = weights @ X[past] / np.sqrt((weights**2).sum()) if len(past) else np.zeros(X.shape[1])
        shown = np.setdiff1d(np.arange(len(Y)), batch.seen[batch.seen_from[e] : batch.seen_from[e + 1]])
        scores = Y @ h + b
        loss += np.log(np.exp(scores[shown]).sum()) - scores[batch.target[e]]
    return float(loss)


def finite_difference(tables: Arrays, name: str, batch: Batch, step: float = 1e-5) -> Scores:
    """Return the gradient of the loss by one table."""
    exact = {key: table.astype(np.float64) for key, table in tables.items()}
    gradient = np.zeros(tables[name].shape)
    for index in np.ndindex(gradient.shape):
        kept = exact[name][index]
        exact[name][index] = kept + step
        above = head_loss(exact, batch)
        exact[name][index] = kept - step
        gradient[index] = (above - head_loss(exact, batch)) / (2 * step)
        exact[name][index] = kept
    return gradient.astype(np.float32)


def taken_gradient(before: Arrays, after: Arrays, name: str, rate: float) -> Scores:
    """Return the gradient that one Adagrad step used: the way it went, times root of the new accumulator, by rate."""
    squares = after[{"X": "squares_X", "Y": "squares_Y", "b": "squares_b", "positions": "squares_p"}[name]]
    root = np.sqrt(squares)[:, None] if before[name].ndim == 2 else np.sqrt(squares)
    return np.asarray((before[name] - after[name]) * root / rate, np.float32)


def trained_head() -> Head:
    expert = make("head")
    assert isinstance(expert, Head)
    learn(expert, random_batches(10))
    return expert


def test_score_gradient_is_the_gradient() -> None:
    """By the scores: the softmax over the candidates, minus 1 at the target, 0 for an event that is not scored."""
    batch = small_batch([[4, 2], [], [2]], [5, 0, 2])
    scores = np.random.default_rng(2).normal(size=(3, N)).astype(np.float32)
    mask_scores(scores, batch.seen, batch.seen_from, batch.open)

    def loss(scores: NDArray[Any]) -> float:
        rows = [row[row > MASKED] for row in scores]
        return float(sum(np.log(np.exp(rows[e]).sum()) - scores[e, batch.target[e]] for e in range(2)))

    expected = np.zeros(scores.shape)
    exact = scores.astype(np.float64)
    for index in np.ndindex(scores.shape):
        if scores[index] > MASKED:
            nudge = np.zeros_like(exact)
            nudge[index] = 1e-5
            expected[index] = (loss(exact + nudge) - loss(exact - nudge)) / 2e-5
    softmax_gradient(scores, scores.max(axis=1), batch.target, batch.scored)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["X", "Y", "b", "positions"])
def test_head_steps_along_the_gradient(name: str) -> None:
    """One event: the Adagrad step of each table follows the finite difference of the loss by that table."""
    head = trained_head()
    before = copy_of(head.tables())
    batch = small_batch([[3, 8, 1, 10]], [5])
    learn(head, [batch])
    rate = LEARNING.position_rate if name == "positions" else LEARNING.head_rate
    expected = finite_difference(before, name, batch)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(taken_gradient(before, copy_of(head.tables()), name, rate), expected, atol=2e-5)


@pytest.mark.parametrize("name", ["Y", "b"])
def test_head_sums_the_gradients_of_a_batch(name: str) -> None:
    """Several events: the outputs' step follows the gradient of the summed loss, repeats left out."""
    head = trained_head()
    before = copy_of(head.tables())
    batch = small_batch([[3, 8], [], [5, 1, 0], [6]], [5, 0, 11, 6])
    assert batch.scored.tolist() == [True, True, True, False]
    learn(head, [batch])
    expected = finite_difference(before, name, batch)
    np.testing.assert_allclose(
        taken_gradient(before, copy_of(head.tables()), name, LEARNING.head_rate), expected, atol=2e-5
    )


def test_accumulators_sum_squared_norms() -> None:
    """Adagrad's memory grows by each event's squared gradient norm, so a batch counts each of its events."""
    head = trained_head()
    before = copy_of(head.tables())
    batch = small_batch([[3, 8, 1, 10], [7]], [5, 2])
    singles = [small_batch([[3, 8, 1, 10]], [5]), small_batch([[7]], [2])]
    learn(head, [batch])
    for name, squares in (("Y", "squares_Y"), ("b", "squares_b")):
        each = [finite_difference(before, name, single) for single in singles]
        grown = sum((gradient**2).reshape(N, -1).sum(axis=1) for gradient in each)
        np.testing.assert_allclose(copy_of(head.tables())[squares] - before[squares], grown, atol=1e-5)


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
            history = histories.setdefault(user, History(None, "unseen", int))
            builder.add(history, item)
            history.advance(item, 0)
        learn(expert, [builder.build(np.ones(ITEMS, np.uint8))])
    right = 0
    for user, history in histories.items():
        builder.clear()
        builder.add(history)
        right += int(look(expert, builder.build(np.ones(ITEMS, np.uint8)), 1).item[0, 0] == withheld(user))
    assert right == len(histories)
