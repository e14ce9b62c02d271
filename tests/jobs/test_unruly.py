"""Laws of an unruly stream: nothing is lost, shares are as asked for, and every bad record has the reason it claims."""

from collections import Counter
from collections.abc import Iterator

import pytest

from jobs.unruly import BAD, BAD_KEY, Sent, Unruly
from online.event import decode_event

N = 5000


def records() -> Iterator[Sent]:
    """Yield one record each 10 ms."""
    return (Sent(n / 100, n / 100, b"u", str(n).encode()) for n in range(N))


def test_a_tame_stream_is_as_it_was() -> None:
    """With shares of 0 nothing changes."""
    assert list(Unruly().disturb(records(), 1)) == list(records())


def test_nothing_is_lost_and_shares_hold() -> None:
    """Each record is there, some twice; disorder is bounded by the delay; sending times ascend."""
    sent = list(Unruly(duplicates=0.1, disorder=0.3, bad=0.05, delay_s=0.5).disturb(records(), 1))
    assert [record.due_s for record in sent] == sorted(record.due_s for record in sent)
    good = [record for record in sent if record.key == b"u"]
    counts = Counter(record.value for record in good)
    assert counts.keys() == {record.value for record in records()}
    assert sum(count == 2 for count in counts.values()) == pytest.approx(0.1 * N, rel=0.15)
    first = {record.value: record for record in reversed(good)}
    delayed = [record for record in first.values() if record.due_s > record.at_s]
    assert len(delayed) == pytest.approx(0.3 * N, rel=0.15)
    assert max(record.due_s - record.at_s for record in delayed) <= 0.5
    assert len(sent) - len(good) == pytest.approx(0.05 * N, rel=0.25)
    assert sent == list(Unruly(0.1, 0.3, 0.05, 0.5).disturb(records(), 1))
    assert sent != list(Unruly(0.1, 0.3, 0.05, 0.5).disturb(records(), 2))


@pytest.mark.parametrize("reason", BAD)
def test_bad_records_are_bad(reason: str) -> None:
    """The job refuses each for just the reason it is named by."""
    assert decode_event(BAD_KEY, BAD[reason], domain="", max_bytes=1 << 20) == reason
