"""The inner loops, compiled: masking, ranking, top lists, softmax, sparse rows and the head's steps.

Every loop runs in one thread and in a fixed order, and the compiler may not reassociate or fuse, so equal inputs give
equal bits however a kernel was compiled, inlined or loaded from a cache. Scores of items that are no candidates are
MASKED. `B` events, `N` items, `d` dimensions, `L` history positions, newest first, -1 where the history is shorter.
"""

from typing import Any

import numpy as np

from online.compiled import compiled, compiled_long

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


@compiled_long
def softmax_gradient(scores: Any, top: Any, target: Any, scored: Any) -> None:
    """Turn masked scores, in place, into the gradient of summed -log softmax(scores)[target]; 0 where not scored.

    Args:
        scores: shape (B, N), float32; changed.
        top: the largest score of each event, shape (B,).
        target: rows, shape (B,); scored: which events count, shape (B,), bool.
    """
    N = scores.shape[1]
    out = np.empty(N, np.float32)  # apart from the row: the compiler vectorises only what cannot overlap
    powers = np.empty(N, np.int32)
    powers_as_float = powers.view(np.float32)
    for e in range(scores.shape[0]):
        row = scores[e]
        if scored[e]:
            softmax_row(row, top[e], out, powers, powers_as_float)
            for j in range(N):
                row[j] = out[j]
            row[target[e]] -= np.float32(1)
        else:
            for j in range(N):
                row[j] = np.float32(0)


@compiled
def mean_history(history: Any, weights: Any, table: Any, out: Any, norms: Any) -> None:
    """Write each event's query: the weighted sum of its history's rows of `table`, over the weights' Euclidean norm.

    Args:
        history: rows of `table`, shape (B, L), int32.
        weights: per position, shape (L,), float32.
        table: shape (N, d), float32.
        out: the queries, shape (B, d), float32.
        norms: 1 / norm of the weights used, 0 without a history; shape (B,), float32.
    """
    for e in range(history.shape[0]):
        for f in range(out.shape[1]):
            out[e, f] = 0
        square = np.float32(0)
        for p in range(history.shape[1]):
            q = history[e, p]
            if q < 0:
                break
            w = weights[p]
            square += w * w
            for f in range(out.shape[1]):
                out[e, f] += w * table[q, f]
        inverse = np.float32(1 / np.sqrt(square)) if square > 0 else np.float32(0)
        norms[e] = inverse
        for f in range(out.shape[1]):
            out[e, f] *= inverse


@compiled_long
def step_outputs(G: Any, GY: Any, H: Any, Y: Any, b: Any, squares_Y: Any, squares_b: Any, rate: Any) -> None:
    """Take one row-wise Adagrad step on the head's item rows Y and biases b.

    The accumulators sum the squared norms of each event's gradient, not of their sum (docs/quality.md).

    Args:
        G: gradient of the loss by the scores, shape (B, N).
        GY: G.T @ H, shape (N, d).
        H: queries, shape (B, d).
        Y, b: parameters, shape (N, d) and (N,); changed in place.
        squares_Y, squares_b: Adagrad accumulators, shape (N,); changed in place.
        rate: step size.
    """
    B, N = G.shape
    norms = np.zeros(B, np.float32)
    for e in range(B):
        for f in range(H.shape[1]):
            norms[e] += H[e, f] * H[e, f]
    g_sum = np.zeros(N, np.float32)
    g_square = np.zeros(N, np.float32)
    g_weighted = np.zeros(N, np.float32)
    for e in range(B):
        for j in range(N):
            g = G[e, j]
            g_sum[j] += g
            g_square[j] += g * g
            g_weighted[j] += g * g * norms[e]
    for j in range(N):
        if g_square[j] < 1e-12:
            continue
        squares_Y[j] += g_weighted[j]
        squares_b[j] += g_square[j]
        step = rate / np.float32(np.sqrt(squares_Y[j]))
        for f in range(Y.shape[1]):
            Y[j, f] -= step * GY[j, f]
        b[j] -= rate / np.float32(np.sqrt(squares_b[j])) * g_sum[j]


@compiled
def step_inputs(
    history: Any, weights: Any, norms: Any, GH: Any, H: Any, X: Any, squares_X: Any, positions: Any,
    squares_p: Any, rate: Any, position_rate: Any,
) -> None:  # fmt: skip
    """Take Adagrad steps, event after event, on the head's history rows X and its log positional weights.

    Args:
        history: shape (B, L), int32.
        weights: exp(positions) at the start of the batch, shape (L,).
        norms: 1 / norm of the weights used, shape (B,).
        GH: gradient of the loss by the queries, shape (B, d); a zero row teaches nothing.
        H: queries, shape (B, d).
        X, positions: parameters, shape (N, d) and (L,); changed in place.
        squares_X, squares_p: Adagrad accumulators, shape (N,) and (L,); changed in place.
        rate, position_rate: step sizes.
    """
    d = H.shape[1]
    for e in range(history.shape[0]):
        g_norm = np.float32(0)
        g_h = np.float32(0)
        for f in range(d):
            g_norm += GH[e, f] * GH[e, f]
            g_h += GH[e, f] * H[e, f]
        if g_norm == 0:
            continue
        for p in range(history.shape[1]):
            q = history[e, p]
            if q < 0:
                break
            w = weights[p] * norms[e]
            g_x = np.float32(0)
            for f in range(d):
                g_x += GH[e, f] * X[q, f]
            g = w * g_x - w * w * g_h  # by log weight: h depends on it directly and by its norm
            squares_p[p] += g * g
            positions[p] -= position_rate / np.float32(np.sqrt(squares_p[p])) * g
            squares_X[q] += w * w * g_norm
            step = rate / np.float32(np.sqrt(squares_X[q])) * w
            for f in range(d):
                X[q, f] -= step * GH[e, f]


@compiled
def add_growing(targets: Any, growth: float, counts: Any, weight: Any) -> None:
    """Count each target, shape (B,), with a weight, shape (1,), that is multiplied by `growth` after each."""
    for item in targets:
        counts[item] += weight[0]
        weight[0] *= growth


@compiled
def add_history(
    history: Any, targets: Any, amounts: Any, done: int, start: Any, size: Any, room: Any, totals: Any, ids: Any,
    weights: Any, used: Any, row_max: int,
) -> int:  # fmt: skip
    """Add amounts[p] to entry (history[e, p], targets[e]) of a pool of sparse rows, for all events and positions.

    Args:
        history: rows, shape (B, P), -1 padded; targets: shape (B,); amounts: shape (P,), float32.
        done: pairs (e, p) = (k // P, k % P) with k < done are skipped.
        start, size, room, totals: per row: place in the pool, entries, places reserved, sum of amounts.
        ids, weights: the pool; used: places reserved so far, shape (1,).
        row_max: a row with this many entries forgets its lighter half (of equal weights the newer entries).

    Returns:
        The number of pairs done; fewer than B * P when the pool is full: make it larger and call again.
    """
    B, P = history.shape
    for k in range(done, B * P):
        q = history[k // P, k % P]
        if q < 0:
            continue
        item = targets[k // P]
        amount = amounts[k % P]
        at = -1
        for x in range(start[q], start[q] + size[q]):
            if ids[x] == item:
                at = x
                break
        if at < 0 and size[q] >= row_max:  # not when the room is full: a restored row has less room
            heavy = np.sort(np.argsort(-weights[start[q] : start[q] + size[q]], kind="mergesort")[: row_max // 2])
            for x in range(len(heavy)):
                ids[start[q] + x] = ids[start[q] + heavy[x]]
                weights[start[q] + x] = weights[start[q] + heavy[x]]
            size[q] = len(heavy)
        if at < 0 and size[q] == room[q]:
            wider = max(4, 2 * size[q])
            if used[0] + wider > ids.shape[0]:
                return k
            for x in range(size[q]):
                ids[used[0] + x] = ids[start[q] + x]
                weights[used[0] + x] = weights[start[q] + x]
            start[q] = used[0]
            room[q] = wider
            used[0] += wider
        if at < 0:
            at = start[q] + size[q]
            ids[at] = item
            weights[at] = 0
            size[q] += 1
        weights[at] += amount
        totals[q] += amount
    return int(B * P)


@compiled
def take_shown(ids: Any, values: Any, sums: Any, hidden: Any, first: int, used: int) -> int:
    """Keep of ids[first:used] those not hidden, write their sums to `values`, clear all sums; return the new end."""
    shown = first
    for k in range(first, used):
        j = ids[k]
        ids[shown], values[shown] = j, sums[j]
        shown += int(not hidden[j])
        sums[j] = 0
    return shown


@compiled_long
def sum_rows(
    history: Any, decays: Any, row_start: Any, size: Any, row_ids: Any, weights: Any, totals: Any, seen: Any,
    seen_from: Any, open_: Any, start: Any,
) -> Any:  # fmt: skip
    """Return (ids, values): the sum over p of decays[p] * T[q_p, j] / sqrt(totals[q_p] + 1), where it is not 0.

    Args:
        history: rows q_p, shape (B, L), newest first, -1 padded; decays: shape (P,), float32.
        row_start, size, row_ids, weights, totals: see `online.sparse.SparseRows`.
        seen, seen_from, open_: see `Batch`; what an event may not show is left out.
        start: event e's part of the result is from start[e] to start[e + 1]; shape (B + 1,), written.
    """
    B, P = history.shape[0], min(history.shape[1], decays.shape[0])
    room = 0
    for e in range(B):
        for p in range(P):
            if history[e, p] < 0:
                break
            room += size[history[e, p]]
    ids = np.empty(room + 1, np.int32)
    values = np.empty(room + 1, np.float32)
    sums = np.zeros(open_.shape[0], np.float32)  # of the event at hand
    hidden = open_ == 0
    used = 0
    for e in range(B):
        start[e] = used
        for j in seen[seen_from[e] : seen_from[e + 1]]:
            hidden[j] = True
        for p in range(P):
            q = history[e, p]
            if q < 0:
                break
            factor = decays[p] / np.float32(np.sqrt(totals[q] + np.float32(1)))
            for x in range(row_start[q], row_start[q] + size[q]):
                j = row_ids[x]
                ids[used] = j  # without a branch: what is there already is overwritten
                used += int(sums[j] == 0)
                sums[j] += factor * weights[x]
        used = take_shown(ids, values, sums, hidden, start[e], used)
        for j in seen[seen_from[e] : seen_from[e + 1]]:
            hidden[j] = open_[j] == 0
    start[B] = used
    return ids[:used], values[:used]


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
