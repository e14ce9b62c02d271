"""The inner loops over one row of scores, compiled: masking, ranking, top lists, softmax, logarithm.

Every loop runs in one thread and in a fixed order, and the compiler may not reassociate or fuse, so equal inputs give
equal bits however a kernel was compiled, inlined or loaded from a cache. Scores of items that are no candidates are
MASKED. `B` events, `N` items.
"""

from typing import Any

import numpy as np

from online.compiled import compiled

LANES = 64  # partial sums, so that a long sum runs in vector registers in one fixed order
MASKED = np.float32(-1e30)  # below every score; finite, because fast math assumes so
UNRANKED = 2147483647  # rank of a target that has no score
LOG2_E = np.float32(1.4426950408889634)
_P = tuple(
    np.float32(c)
    for c in (1.0, 0.693147182464599609, 0.240226507186889648, 0.0555041059851646423, 0.00961812101304531097,
              0.00133335580099260807, 0.000153533158460631967)
)  # 2**f on [-1/2, 1/2], relative error below 2e-7  # fmt: skip

_L = tuple(
    np.float32(c)
    for c in (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
              2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
)  # log(1 + f) on [sqrt(1/2) - 1, sqrt(2) - 1]  # fmt: skip


@compiled
def mask_scores(scores: Any, seen: Any, seen_from: Any, open_: Any) -> None:
    """Mask what event e may not show: seen[seen_from[e]:seen_from[e + 1]], and what is not open.

    Args:
        scores: shape (B, N), float32; changed in place.
        seen, seen_from, open_: see `Batch`.
    """
    closed = np.flatnonzero(open_ == 0)
    for e in range(scores.shape[0]):
        row = scores[e]
        for x in range(seen_from[e], seen_from[e + 1]):
            row[seen[x]] = MASKED
        for j in closed:
            row[j] = MASKED


@compiled
def rank_of(row: Any, target: Any) -> int:
    """Return 1 + the number of other items that score at least the target's score: ties count against us."""
    bound = row[target]
    if bound <= MASKED:
        return UNRANKED
    rank = np.int32(0)  # as wide as a score, so that the loop runs in vector registers
    for j in range(row.shape[0]):
        rank += np.int32(row[j] >= bound)
    return int(rank)


@compiled
def column_maxima(row: Any, columns: int) -> Any:
    """Return the maximum of every column of `row` laid out in lines of `columns` items, a multiple of 128."""
    n = row.shape[0]
    best = row[:columns].copy()
    whole = n - n % columns
    for first in range(0, columns, 128):  # a width known to the compiler, which then keeps it in vector registers
        part = best[first : first + 128]
        for start in range(columns + first, whole, columns):
            line = row[start : start + 128]
            for c in range(128):
                part[c] = max(part[c], line[c])
    for j in range(max(whole, columns), n):
        best[j - whole] = max(best[j - whole], row[j])
    return best


@compiled
def kth_largest(values: Any, k: int) -> Any:
    """Return the k-th largest of at least k values, counted with ties, by bisection on their bits.

    Each step is one count in vector registers; a partition's branches cost several times as much.
    """
    n = values.shape[0]
    as_float = values.copy()
    keys = as_float.view(np.int32)
    for j in range(n):
        keys[j] ^= (keys[j] >> 31) & 0x7FFFFFFF  # integers in the order of the floats
    least, most = keys[0], keys[0]
    for j in range(n):
        least = min(least, keys[j])
        most = max(most, keys[j])
    low, high = np.int64(least), np.int64(most)
    while low < high:
        middle = np.int32((low + high + 1) >> 1)
        count = np.int32(0)
        for j in range(n):
            count += np.int32(keys[j] >= middle)
        if count >= k:
            low = np.int64(middle)
        else:
            high = np.int64(middle) - 1
    found = np.int32(low)
    keys[0] = found ^ ((found >> 31) & 0x7FFFFFFF)
    return as_float[0]


@compiled
def top_items(row: Any, above: Any, score: Any, item: Any) -> int:
    """Put the best items with a score > `above` into `score` and `item`, in no order; return how many there are.

    Exact: as many as the arrays hold; of equal scores the lower rows win. In a long row the keep-th best column maximum
    bounds the keep-th best score from below, so that only the columns above it are looked at.
    """
    keep, n = score.shape[0], row.shape[0]
    columns = 256
    while columns < 4 * keep or columns * 256 < n:
        columns *= 2
    kept = np.empty(n, np.int32)
    size = 0
    if n <= 4 * columns:
        bound = kth_largest(row, keep) if n > keep else MASKED
        for j in range(n):  # without a branch: what does not count is overwritten
            kept[size] = j
            size += int(row[j] >= bound and row[j] > above)
    else:
        best = column_maxima(row, columns)
        bound = kth_largest(best, keep)
        lines = n // columns
        for c in range(columns):
            if best[c] >= bound and best[c] > above:
                for line in range(lines):
                    j = line * columns + c
                    kept[size] = j
                    size += int(row[j] >= bound and row[j] > above)
        for j in range(lines * columns, n):
            kept[size] = j
            size += int(row[j] >= bound and row[j] > above)
    return _cut(row, kept[:size], score, item)  # type: ignore[no-any-return]


@compiled
def _cut(row: Any, rows: Any, score: Any, item: Any) -> int:
    """Put the best of `rows` into `score` and `item`, of equal scores the lower rows; return how many there are."""
    keep, size = score.shape[0], rows.shape[0]
    scores = row[rows]
    bound = kth_largest(scores, keep) if size > keep else MASKED
    found, equal = 0, 0
    for k in range(size):
        if scores[k] > bound:
            item[found] = rows[k]
            score[found] = scores[k]
            found += 1
        else:
            equal += int(scores[k] == bound)
    places = min(equal, keep - found)
    if places == 0:
        return found
    at_bound = rows[scores == bound]
    if places < equal:
        at_bound = np.sort(at_bound)
    item[found : found + places] = at_bound[:places]
    score[found : found + places] = bound
    return int(found + places)


@compiled
def mass_of(row: Any) -> Any:
    """Return the sum of the positive entries: of the scores that are not masked."""
    n = row.shape[0]
    lanes = np.zeros(LANES, np.float32)
    whole = n - n % LANES
    for j in range(0, whole, LANES):
        for x in range(LANES):
            lanes[x] += max(row[j + x], np.float32(0))
    total = np.float32(0)
    for x in range(LANES):
        total += lanes[x]
    for j in range(whole, n):
        total += max(row[j], np.float32(0))
    return total


@compiled
def softmax_row(row: Any, top: Any, out: Any, powers: Any, powers_as_float: Any) -> None:
    """Write the softmax of `row` to `out`; masked items get less than 1e-18.

    Args:
        row: shape (N,), float32.
        top: the largest of its scores.
        out: shape (N,), float32; may be `row`, which is several times slower.
        powers, powers_as_float: scratch, shape (N,), one memory seen as int32 and as float32.
    """
    n = row.shape[0]
    for j in range(n):
        x = max((row[j] - top) * LOG2_E, np.float32(-60))
        whole = np.floor(x + np.float32(0.5))
        f = x - whole
        powers[j] = (np.int32(whole) + 127) << 23  # the bits of 2**whole
        out[j] = _P[0] + f * (_P[1] + f * (_P[2] + f * (_P[3] + f * (_P[4] + f * (_P[5] + f * _P[6])))))
    for j in range(n):
        out[j] *= powers_as_float[j]
    inverse = np.float32(1) / mass_of(out)
    for j in range(n):
        out[j] *= inverse


@compiled
def log_row(row: Any, out: Any) -> None:
    """Write the natural logarithm of positive, normal numbers, within 2e-7; the library's differs from host to host.

    Source: Cephes (S. Moshier), logf.

    Args:
        row, out: shape (n,), float32; not the same array.
    """
    n = row.shape[0]
    bits = np.empty(n, np.int32)
    as_float = bits.view(np.float32)
    exponent = np.empty(n, np.float32)
    as_float[:] = row
    for k in range(n):
        whole = (bits[k] >> 23) - 127
        mantissa = bits[k] & 0x7FFFFF
        high = np.int32(mantissa > 0x3504F3)  # above sqrt(2): halve it
        bits[k] = mantissa | ((127 - high) << 23)
        exponent[k] = np.float32(whole + high)
    for k in range(n):
        f = as_float[k] - np.float32(1)
        z = f * f
        y = _L[0]
        for c in range(1, 9):
            y = y * f + _L[c]
        y = y * f * z + exponent[k] * np.float32(-2.12194440e-4) - np.float32(0.5) * z
        out[k] = f + y + exponent[k] * np.float32(0.693359375)


@compiled
def best_first(item: Any, score: Any, n: Any, order: Any, best: Any, best_score: Any) -> None:
    """Write each event's best candidates, best first, of equal scores the lower order first; -1 beyond the last.

    Args:
        item, score: candidates, shape (B, C); of event e the first n[e] count.
        n: shape (B,).
        order: place of each item among all ids, shape (N,), int32.
        best, best_score: the result, shape (B, K), int32 and float32.
    """
    for e in range(item.shape[0]):
        size = 0
        for c in range(n[e]):
            j, s = item[e, c], score[e, c]
            at = size
            while at > 0 and (
                s > best_score[e, at - 1] or (s == best_score[e, at - 1] and order[j] < order[best[e, at - 1]])
            ):
                at -= 1
            if at == best.shape[1]:
                continue
            size = min(size + 1, best.shape[1])
            for k in range(size - 1, at, -1):
                best[e, k] = best[e, k - 1]
                best_score[e, k] = best_score[e, k - 1]
            best[e, at] = j
            best_score[e, at] = s
        best[e, size:] = -1
