"""Event ids for rows that carry none: derived from content, so that a shuffled file gives the same ids."""

import hashlib


class EventIds:
    """Numbers the rows of a basket, or equal rows, in file order: two rows never share an id.

    An id is `000002-0123456789abcdef`: the number, then a digest of the row's time and mapped fields. The number comes
    first because a tick is ordered by (event time, event id): the rows of a basket, which often share their time, keep
    the file's order.

    A count starts anew when the row before it in its basket is older by more than the lateness bound. Hence a count
    can be forgotten once no row in time can continue it, and memory is bounded by the rows of four lateness bounds.
    """

    def __init__(self, lateness_ms: int) -> None:
        self._lateness_ms = lateness_ms
        self._counts: dict[str, tuple[int, int]] = {}  # basket or digest -> (rows so far, time of the last)
        self._older: dict[str, tuple[int, int]] = {}  # of the generation before
        self._until_ms = 0  # event time at which this generation becomes the older one

    def derive(self, at_ms: int, user: str, basket: str, body: bytes, newest_ms: int) -> str:
        """Return the id of one row that is not late.

        Args:
            at_ms: the row's event time.
            user: of the row.
            basket: of the row, "" when it has none: then equal rows are numbered.
            body: the row's mapped fields; equal fields have equal bytes.
            newest_ms: event time of the newest row up to and with this one.
        """
        if newest_ms >= self._until_ms:
            self._older, self._counts = self._counts, {}
            self._until_ms = newest_ms + 2 * self._lateness_ms + 1
        digest = hashlib.sha256(b"%d %b" % (at_ms, body)).hexdigest()[:16]
        key = f"{len(user)} {user}{basket}" if basket else digest  # a digest has no space: the two never meet
        count, last_ms = self._counts.get(key) or self._older.get(key) or (0, at_ms)
        if at_ms - last_ms > self._lateness_ms:
            count = 0
        self._counts[key] = (count + 1, max(at_ms, last_ms))
        return f"{count:06d}-{digest}"
