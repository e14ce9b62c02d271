"""What an event says of its user and of its circumstances, as numbers: hashed, so that any name and value fits."""

import hashlib
from collections.abc import Mapping

MOST = 8  # pairs of an event that are looked at, the first by name


def hash_context(context: Mapping[str, str | float] | None) -> tuple[int, ...]:
    """Return a number below 2**31 for each pair of name and value, in the order of the names.

    A number counts by its six first digits, so 1 is 1.0 and "1"; of what runs on, such as an amount, every value is
    another pair: the producer should name ranges.
    """
    pairs = sorted((context or {}).items())[:MOST]
    return tuple(_hash(f"{name}={value if isinstance(value, str) else f'{value:g}'}") for name, value in pairs)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little") & 0x7FFFFFFF
