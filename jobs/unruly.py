"""A stream as producers really send it: some records twice, some after others, some that nobody can read."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

BAD = {
    "bad_json": b'{"user": "u1", "item": ',
    "bad_utf8": b'{"user": "\xff\xfe", "item": "i"}',
    "bad_schema": b'{"user": "u1", "item": 7}',
    "bad_id": b'{"user": "u1", "item": ""}',
    "key_mismatch": b'{"user": "somebody-else", "item": "i"}',
    "too_deep": b'{"user": "u1", "item": "i", "more": ' + b"[" * 100_000,
    "null_value": None,
}
"""Reason for which the job refuses it -> the value; the key is u1."""
BAD_KEY = b"u1"


class Sent(NamedTuple):
    """A record to be sent."""

    due_s: float  # when, in seconds since the start
    at_s: float  # its own time, in seconds since the start; before `due_s` where it is delayed
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Unruly:
    """How unruly a stream is; each share is a chance per record."""

    duplicates: float = 0.0  # sent again, up to `delay_s` later
    disorder: float = 0.0  # sent up to `delay_s` after its time
    bad: float = 0.0  # followed by one of BAD
    delay_s: float = 0.5

    def disturb(self, records: Iterator[Sent], seed: int) -> Iterator[Sent]:
        """Yield the records as they are to be sent; in memory is what waits for its turn.

        Args:
            records: by ascending `due_s`.
            seed: of the chances.
        """
        chance = Random(seed)  # noqa: S311  # nothing is to be kept secret
        kinds = list(BAD)
        waiting: list[tuple[float, int, Sent]] = []
        number = bad = 0
        for record in records:
            while waiting and waiting[0][0] <= record.due_s:
                yield heapq.heappop(waiting)[2]
            planned = [record]
            if chance.random() < self.disorder:
                planned = [record._replace(due_s=record.due_s + chance.random() * self.delay_s)]
            if chance.random() < self.duplicates:
                planned.append(planned[0]._replace(due_s=planned[0].due_s + chance.random() * self.delay_s))
            if chance.random() < self.bad:
                planned.append(Sent(record.due_s, record.at_s, BAD_KEY, BAD[kinds[bad % len(kinds)]]))
                bad += 1
            for each in planned:
                if each.due_s <= record.due_s:
                    yield each
                else:
                    heapq.heappush(waiting, (each.due_s, number, each))
                    number += 1
        while waiting:
            yield heapq.heappop(waiting)[2]
