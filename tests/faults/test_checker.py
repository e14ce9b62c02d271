"""The checker finds what it is there for: each planted defect by its kind, and nothing in a run that is right."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.checker import Outcome, Seen, check
from tests.faults.oracle import oracle
from tests.small import LATENESS_MS, START_MS, TICK_MS, record, small_catalogue, small_settings


@pytest.fixture(scope="module")
def right() -> Outcome:
    """A real run of the loop: six ticks, three users, two dead letters."""
    log = [record(n, START_MS + n * TICK_MS // 3, "abc"[n % 3], f"i{n % 7:02d}", event_id=f"e{n}") for n in range(18)]
    log += [
        record(18, START_MS + 5 * TICK_MS, "a", ""),
        record(19, START_MS + 5 * TICK_MS - LATENESS_MS - 1, "b", "i01"),
    ]
    made = oracle(log, small_settings(), small_catalogue(), "events").outcome
    assert (len(made.lists), len(made.dead_letters)) == (18, 2)
    assert {"user a", "user b", "user c", "table counts/0"} < made.state.keys()
    return made


def kinds(right: Outcome, **planted: Any) -> list[str]:
    """Return the kinds that are found in the run with something of it replaced."""
    return [finding.kind for finding in check(right, right._replace(**planted)).findings]


def flipped(raw: bytes | None, at: int) -> bytes:
    changed = bytearray(raw or b"")
    changed[at] ^= 1
    return bytes(changed)


def test_a_right_run_is_right(right: Outcome) -> None:
    """Nothing is found; that readers see it in another order of users and partitions is no matter."""
    by_user = sorted(right.lists, key=lambda seen: (seen.key, seen.offset))
    partition = {b"a": 2, b"b": 0, b"c": 1}
    spread = [seen._replace(partition=partition[seen.key or b""], offset=n) for n, seen in enumerate(by_user)]
    verdict = check(right, right._replace(lists=spread, dead_letters=right.dead_letters[::-1]))
    assert verdict
    assert str(verdict) == "nothing lost, nothing doubled, nothing torn, all in order"


def test_a_loss_is_found(right: Outcome) -> None:
    """Each list, taken away, is lost."""
    for number, seen in enumerate(right.lists):
        rest = [*right.lists[:number], *right.lists[number + 1 :]]
        [finding] = check(right, right._replace(lists=rest)).findings
        at = json.loads(seen.value or b"")["at"]
        assert finding == ("list lost", f"{(seen.key or b'').decode()} at {at}")


def test_a_duplicate_is_found(right: Outcome) -> None:
    """A list that is there twice, or thrice, is doubled once, or twice; the newest of its user brings nothing back."""
    newest = right.lists[-1]
    assert kinds(right, lists=[*right.lists, newest._replace(offset=99)]) == ["list doubled"]
    again = [newest._replace(offset=99), newest._replace(offset=100)]
    assert kinds(right, lists=[*right.lists, *again]) == ["list doubled"] * 2


def test_an_old_duplicate_goes_back_too(right: Outcome) -> None:
    """A list of long ago that comes once more is doubled, and a head that went back."""
    again = [*right.lists, right.lists[0]._replace(offset=99)]
    assert kinds(right, lists=again) == ["list doubled", "list out of order"]


def test_one_flipped_byte_is_found(right: Outcome) -> None:
    """In a list's items, its key, its name; in a dead letter."""
    seen = right.lists[7]
    at = (seen.value or b"").index(b'"items":["i') + 10

    def with_list(one: Seen) -> list[str]:
        return kinds(right, lists=[*right.lists[:7], one, *right.lists[8:]])

    assert with_list(seen._replace(value=flipped(seen.value, at))) == ["list torn"]
    assert with_list(seen._replace(key=flipped(seen.key, 0))) == ["list torn"]
    another_user = seen._replace(value=flipped(seen.value, 9))  # b is c then, who has a list of that tick
    assert with_list(another_user) == ["list torn", "list lost", "list doubled"]
    assert with_list(seen._replace(value=flipped(seen.value, 0))) == ["list unexpected", "list lost"]  # no JSON
    letter = right.dead_letters[0]
    damaged = [letter._replace(value=flipped(letter.value, 40)), *right.dead_letters[1:]]
    assert kinds(right, dead_letters=damaged) == ["dead letter torn"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda raw: flipped(raw, len(raw) // 2), "byte "),
        (lambda raw: flipped(raw, len(raw) - 1), "byte "),
        (lambda raw: raw[:-1], "byte "),
        (lambda raw: raw + b"\0", "byte "),
        (None, "is missing"),
    ],
    ids=["middle", "end", "cut", "longer", "gone"],
)
@pytest.mark.parametrize("name", ["user a", "table counts/0", "table blend.mixture/0"])
def test_torn_state_is_found(right: Outcome, name: str, change: Callable[[bytes], bytes] | None, told: str) -> None:
    """One bit, a cut, a byte too many or a missing value, of a user or a table."""
    state = dict(right.state)
    raw = state.pop(name)
    if change is not None:
        state[name] = change(raw)
    [finding] = check(right, right._replace(state=state)).findings
    assert finding.kind == "state torn"
    assert finding.what.startswith(name) and told in finding.what


def test_state_left_over_is_found(right: Outcome) -> None:
    """A user whom the oracle does not know."""
    assert kinds(right, state={**right.state, "user z": b""}) == ["state torn"]


def test_swapped_order_is_found(right: Outcome) -> None:
    """Two lists of one user in the wrong order; of two users it is no matter."""
    first, other, second = right.lists[0], right.lists[1], right.lists[3]
    assert (first.key, second.key) == (b"a", b"a") != (other.key, b"a")

    def swapped(one: Seen, two: Seen) -> list[Seen]:
        moved = {one: one._replace(offset=two.offset), two: two._replace(offset=one.offset)}
        return [moved.get(seen, seen) for seen in right.lists]

    assert kinds(right, lists=swapped(first, second)) == ["list out of order"]
    assert kinds(right, lists=swapped(first, other)) == []


def test_a_user_in_two_partitions_is_found(right: Outcome) -> None:
    """Between two partitions there is no order for a reader."""
    moved = [seen._replace(partition=int(seen is right.lists[-1])) for seen in right.lists]
    assert kinds(right, lists=moved) == ["list out of order"]


def test_an_unexpected_list_is_found(right: Outcome) -> None:
    """A list of a tick or user that never was."""
    strange = Seen(b"a", b'{"user":"a","at":1,"head":1}', 0, 99)
    assert kinds(right, lists=[*right.lists, strange._replace(offset=-1)]) == ["list unexpected"]


def test_a_dead_letter_lost_or_twice_is_found(right: Outcome) -> None:
    """Each bad record is there exactly once."""
    one, two = right.dead_letters
    assert kinds(right, dead_letters=[one]) == ["dead letter lost"]
    assert kinds(right, dead_letters=[one, two, two]) == ["dead letter doubled"]
    assert kinds(right, dead_letters=[one, two, Seen(b"events/0/77", b"{}")]) == ["dead letter unexpected"]


def test_the_verdict_counts(right: Outcome) -> None:
    """Losses of lists and of dead letters count together; the text has one line a kind, with examples."""
    verdict = check(right, Outcome((), (), right.state))
    assert [verdict.count(kind) for kind in ("lost", "doubled", "torn", "out of order")] == [20, 0, 0, 0]
    assert not verdict
    assert [line.split(":")[0] for line in str(verdict).splitlines()] == ["2 dead letter lost", "18 list lost"]


def test_a_broken_oracle_is_refused(right: Outcome) -> None:
    """An expectation that names one list twice would hide a loss."""
    with pytest.raises(ValueError, match=r"names the list a at .* twice"):
        check(right._replace(lists=[*right.lists, right.lists[0]]), right)
