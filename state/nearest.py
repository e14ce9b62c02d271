"""Finds what a mistyped word was meant to be, for the texts of errors."""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like `word`, or "" when none is."""
    lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return lower[found[0]] if found else ""
