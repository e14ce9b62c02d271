"""Errors that a user can act on."""

import difflib
from collections.abc import Iterable


class HeadwaterError(Exception):
    """Something the user can mend.

    The text says what is wrong, what came, what was expected and what to do. The command line prints the text
    without a traceback and exits with status 2.
    """


class CorruptBytes(HeadwaterError):
    """Stored or received bytes fail their magic, length or checksum."""


class UnknownSchema(HeadwaterError):
    """Stored bytes have a schema version that this build does not read."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like `word`, or "" when none is."""
    lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return lower[found[0]] if found else ""
