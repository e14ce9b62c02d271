"""Laws of a shard's tick: the order of records means nothing, a repeated event is dropped, and nothing vanishes."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from online.record import Record
from online.session import Folded, fold_tick
from online.settings import Candidates, Settings
from state.tick import encode_share
from state.user import IDS_MAX, IDS_MS, UserState, encode_user
from tests.small import START_MS, TICK_MS, record, small_settings
from tests.strategies import as_records, dirty_records, quick, timelines

END_MS = START_MS + TICK_MS - 1
POLICIES: tuple[Candidates, ...] = ("unseen", "not_in_basket", "all")
policies = st.sampled_from(POLICIES)


def fold(
    records: Sequence[Record], states: dict[str, UserState] | None = None, settings: Settings | None = None
) -> Folded:
    return fold_tick(0, END_MS, records, (states or {}).get, settings or small_settings())


def bytes_of(folded: Folded) -> tuple[bytes, dict[str, bytes], list[tuple[Record, str]]]:
    states = {user: encode_user(state) for user, state in folded.states.items()}
    return encode_share(folded.share), states, [tuple(letter) for letter in folded.dead]  # type: ignore[misc]


@given(data=st.data(), records=dirty_records(), policy=policies)
@quick
def test_the_order_of_a_tick_means_nothing(data: st.DataObject, records: list[Record], policy: Candidates) -> None:
    """A tick's records in any order, garbage and copies among them, give equal shares, states and dead letters."""
    settings = small_settings(policy)
    other = data.draw(st.permutations(records))
    assert bytes_of(fold(records, settings=settings)) == bytes_of(fold(other, settings=settings))


@given(records=dirty_records())
@quick
def test_nothing_vanishes(records: list[Record]) -> None:
    """accepted + duplicates + dead = records; a dead letter has its record unchanged."""
    share, _, dead = fold(records)
    accepted = sum(len(user.rows) for user in share.users)
    assert accepted + share.duplicates + share.dead == len(records)
    assert share.dead == len(dead)
    assert all(letter.record in records for letter in dead)


@given(timeline=timelines(), policy=policies, at=st.integers(0, 30))
@quick
def test_a_repeated_event_changes_no_state(timeline: list, policy: Candidates, at: int) -> None:  # type: ignore[type-arg]
    """Sent twice, in the same tick or a later one, an event counts once."""
    settings = small_settings(policy)
    records = as_records(timeline)
    once = fold(records, settings=settings)
    copies = [one._replace(partition=1) for one in records[at:]]
    together = fold([*copies, *records], settings=settings)
    assert together.share.users == once.share.users
    assert together.states == once.states
    assert together.share.duplicates == len(copies)
    later = fold(copies, once.states, settings)
    assert (later.share.users, later.states, later.share.duplicates) == ((), {}, len(copies))


@given(timeline=timelines(), policy=policies, cuts=st.sets(st.integers(0, 30)))
@quick
def test_ticks_may_be_cut_anywhere(timeline: list, policy: Candidates, cuts: set[int]) -> None:  # type: ignore[type-arg]
    """State carried through bytes from tick to tick equals the state of one tick with all events."""
    settings = small_settings(policy)
    records = sorted(as_records(timeline), key=lambda one: (one.at_ms, timeline[one.offset].event_id))
    states: dict[str, UserState] = {}
    rows: dict[str, list[str]] = {}
    for first, end in pairwise(sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})):
        part = fold(records[first:end], states, settings)
        for user in part.share.users:
            before = states.get(user.user)
            assert user.before == (before.history if before else None)
            rows.setdefault(user.user, []).extend(row.event_id for row in user.rows)
        states |= part.states
    whole = fold(records, settings=settings)
    assert states == whole.states
    assert rows == {user.user: [row.event_id for row in user.rows] for user in whole.share.users}


def test_without_an_id_the_position_is_the_id() -> None:
    """Two events that look the same but lie at two offsets are two events; the same offset read twice is one."""
    one, two = record(1, START_MS, "u", "i"), record(2, START_MS, "u", "i")
    share = fold([two, one, one]).share
    assert [row.event_id for row in share.users[0].rows] == [f"0-{1:020d}", f"0-{2:020d}"]
    assert share.duplicates == 1


def test_an_id_belongs_to_its_user() -> None:
    """Two users' events may carry the same id."""
    share = fold([record(n, START_MS, user, "i", event_id="e") for n, user in enumerate("ab")]).share
    assert ([user.user for user in share.users], share.duplicates) == (["a", "b"], 0)


def test_remembered_ids_are_bounded() -> None:
    """A user's state holds IDS_MAX ids at most, and none older than IDS_MS before the newest event."""
    many = fold([record(n, START_MS + n, "u", "i", event_id=f"e{n}") for n in range(IDS_MAX + 50)])
    assert len(many.states["u"].ids) == 16 * IDS_MAX
    again = [record(0, START_MS + n, "u", "i", event_id=f"e{n}") for n in (0, IDS_MAX + 49)]
    assert fold(again, many.states).share.duplicates == 1  # the oldest is forgotten, the newest is not
    after = fold([record(0, START_MS + IDS_MS + 60, "u", "i", event_id="x")], many.states)
    assert len(after.states["u"].ids) == 16 * (IDS_MAX + 50 - 60 + 1)


def test_flagged_records_are_not_read() -> None:
    """A flag decided before the tick is the reason, whatever the value holds."""
    good = record(5, START_MS, "u", "i")
    dead = fold([good._replace(flag="late_idle", offset=6), good, good._replace(flag="bad_time", offset=2)]).dead
    assert [(letter.record.offset, letter.reason) for letter in dead] == [(2, "bad_time"), (6, "late_idle")]
