"""Candidates: the union of the experts' exact top lists."""

from typing import Any

from online.compiled import compiled

FREE = -1


@compiled
def unite(top: Any, column: Any, item: Any) -> int:
    """Write the distinct items of all top lists beside each other; return how many there are.

    Args:
        top: shape (experts, K), -1 beyond each one's last.
        column: scratch, FREE everywhere; then each item's place; shape (N,).
        item: shape (C,), written.
    """
    n = 0
    for x in range(top.shape[0]):
        for j in top[x]:
            if j >= 0 and column[j] == FREE:
                column[j] = n
                item[n] = j
                n += 1
    return n


@compiled
def free(column: Any, item: Any) -> None:
    """Make `column` FREE everywhere again."""
    for j in item:
        column[j] = FREE
