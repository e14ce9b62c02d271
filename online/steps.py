"""The steps of a head, compiled: its queries, the gradient of its softmax, and Adagrad on its rows.

`B` events, `N` items, `d` dimensions, `L` history positions, newest first, -1 where the history is shorter.
"""

from typing import Any

import numpy as np

from online.compiled import compiled, compiled_long
from online.kernels import softmax_row


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
        norms[e] = _mean(history[e], weights, table, out[e])


@compiled
def mean_row(history: Any, weights: Any, table: Any) -> Any:
    """Return one event's query; see `mean_history`. Shape (d,); zeros without a history."""
    out = np.empty(table.shape[1], np.float32)
    _mean(history, weights, table, out)
    return out


@compiled
def _mean(history: Any, weights: Any, table: Any, out: Any) -> Any:
    """Write one event's query, shape (d,), and return 1 / norm of the weights used, 0 without a history."""
    out[:] = np.float32(0)
    square = np.float32(0)
    for p in range(min(history.shape[0], weights.shape[0])):
        q = history[p]
        if q < 0:
            break
        w = weights[p]
        square += w * w
        for f in range(out.shape[0]):
            out[f] += w * table[q, f]
    inverse = np.float32(1 / np.sqrt(square)) if square > 0 else np.float32(0)
    for f in range(out.shape[0]):
        out[f] *= inverse
    return inverse


@compiled_long
def softmax_gradient(scores: Any, top: Any, target: Any, scored: Any, G: Any) -> None:
    """Write the gradient of summed -log softmax(scores)[target] by the scores; 0 where not scored.

    Args:
        scores: masked, shape (B, N), float32.
        top: the largest score of each event, shape (B,).
        target: rows, shape (B,); scored: which events count, shape (B,), bool.
        G: shape (B, N), written.
    """
    powers = np.empty(scores.shape[1], np.int32)
    powers_as_float = powers.view(np.float32)
    for e in range(scores.shape[0]):
        if scored[e]:
            softmax_row(scores[e], top[e], G[e], powers, powers_as_float)
            G[e, target[e]] -= np.float32(1)
        else:
            G[e] = np.float32(0)


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
