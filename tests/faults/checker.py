"""The judge of every fault: what readers see beside what the oracle says; lost, doubled, torn, or out of order."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

Kind = Literal[
    "list lost", "list doubled", "list torn", "list unexpected", "list out of order",
    "dead letter lost", "dead letter doubled", "dead letter torn", "dead letter unexpected",
    "state torn",
]  # fmt: skip
_SHOWN = 3  # findings of a kind that a verdict spells out


class Seen(NamedTuple):
    """One record of an output as a read_committed reader sees it."""

    key: bytes | None
    value: bytes | None
    partition: int = 0
    offset: int = 0


class Outcome(NamedTuple):
    """What a run led to, or should have."""

    lists: Sequence[Seen]
    dead_letters: Sequence[Seen]
    state: Mapping[str, bytes]  # name -> bytes or their digest; the names of both sides are compared


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: Kind
    what: str  # which record or state, and how it differs


class Verdict(NamedTuple):
    """All that is wrong; nothing is, where there are no findings."""

    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        """Whether the run was right."""
        return not self.findings

    def count(self, kind: str) -> int:
        """Return how many findings there are of the kinds that end so, such as "lost"."""
        return sum(finding.kind.endswith(kind) for finding in self.findings)

    def __str__(self) -> str:
        """One line per kind, with the first examples."""
        kinds = Counter(finding.kind for finding in self.findings)
        lines = []
        for kind, count in sorted(kinds.items()):
            examples = [finding.what for finding in self.findings if finding.kind == kind][:_SHOWN]
            lines.append(f"{count} {kind}: {'; '.join(examples)}{' ...' if count > _SHOWN else ''}")
        return "\n".join(lines) or "nothing lost, nothing doubled, nothing torn, all in order"


def check(expected: Outcome, actual: Outcome) -> Verdict:
    """Compare a run with what the oracle says of its log.

    Raises:
        ValueError: `expected` names one list or dead letter twice, so that it cannot be an oracle's.
    """
    findings = [
        *_compare("list", _list_name, expected.lists, actual.lists),
        *_out_of_order(actual.lists),
        *_compare("dead letter", _key_name, expected.dead_letters, actual.dead_letters),
        *_torn_state(expected.state, actual.state),
    ]
    return Verdict(tuple(findings))


class _ListHead(msgspec.Struct):
    """Of a list what names it and what orders it."""

    user: str
    at: int
    head: int


_DECODER = msgspec.json.Decoder(_ListHead)


def _head(seen: Seen) -> _ListHead | None:
    try:
        return _DECODER.decode(seen.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _list_name(seen: Seen) -> str:
    """Return what makes a list this list: its user and its tick."""
    head = _head(seen)
    return f"unreadable {seen.value!r:.80}" if head is None else f"{head.user} at {head.at}"


def _key_name(seen: Seen) -> str:
    """Return what makes a dead letter this one: where the record lay, which is its key."""
    return f"{seen.key!r:.80}"


def _compare(
    what: str, name: Callable[[Seen], str], expected: Iterable[Seen], actual: Iterable[Seen]
) -> Iterable[Finding]:
    wanted: dict[str, Seen] = {}
    for seen in expected:
        if name(seen) in wanted:
            raise ValueError(f"the oracle names the {what} {name(seen)} twice; expected each once")
        wanted[name(seen)] = seen
    times: Counter[str] = Counter()
    for seen in actual:
        one = name(seen)
        times[one] += 1
        if one not in wanted:
            yield _finding(f"{what} unexpected", f"{one}, {_place(seen)}")
        elif seen[:2] != wanted[one][:2]:
            yield _finding(f"{what} torn", f"{one}, {_place(seen)}: {_difference(wanted[one], seen)}")
    for one in wanted:
        if not times[one]:
            yield _finding(f"{what} lost", one)
    for one, count in times.items():
        if one in wanted:
            yield from (_finding(f"{what} doubled", f"{one}, {count} times") for _ in range(count - 1))


def _out_of_order(lists: Iterable[Seen]) -> Iterable[Finding]:
    """A user's head versions never go back, and all lie in one partition: between two there is no order."""
    newest: dict[str, tuple[int, int]] = {}  # user -> head, partition
    for seen in sorted(lists, key=lambda seen: (seen.partition, seen.offset)):
        head = _head(seen)
        if head is None:
            continue
        before, partition = newest.get(head.user, (head.head, seen.partition))
        if seen.partition != partition:
            where = f"{_place(seen)} and in partition {partition}"
            yield _finding("list out of order", f"{head.user} has lists in {where}")
        elif head.head < before:
            yield _finding("list out of order", f"{head.user}, {_place(seen)}: head {head.head} after {before}")
        newest[head.user] = (max(before, head.head), seen.partition)


def _torn_state(expected: Mapping[str, bytes], actual: Mapping[str, bytes]) -> Iterable[Finding]:
    for name in sorted({*expected, *actual}):
        one, two = expected.get(name), actual.get(name)
        if one is None or two is None:
            yield _finding("state torn", f"{name} is {'missing' if two is None else 'left over'}")
        elif one != two:
            yield _finding("state torn", f"{name}: {_first_difference(one, two)}")


def _finding(kind: str, what: str) -> Finding:
    return Finding(msgspec.convert(kind, Kind), what)


def _place(seen: Seen) -> str:
    return f"partition {seen.partition} offset {seen.offset}"


def _difference(expected: Seen, actual: Seen) -> str:
    if expected.key != actual.key:
        return f"key {actual.key!r:.60}, expected {expected.key!r:.60}"
    return _first_difference(expected.value or b"", actual.value or b"")


def _first_difference(expected: bytes, actual: bytes) -> str:
    pairs = zip(expected, actual, strict=False)
    at = next((number for number, (one, two) in enumerate(pairs) if one != two), min(len(expected), len(actual)))
    near = slice(max(0, at - 10), at + 20)
    return f"byte {at} of {len(expected)}: {actual[near]!r}, expected {expected[near]!r}"
