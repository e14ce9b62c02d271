"""Seeded mutations of known bytes: flips, cuts, splices, repeats, and what breaks parsers elsewhere."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

TOKENS = (
    b"null", b"NaN", b"Infinity", b"-0", b"1e999", b"9" * 400, b"-" * 50, b"true", b'""', b"[]", b"{}", b"[" * 2000,
    b'{"a":' * 500, b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\udfff", b"\\u0000",
    b"\\ud83d\\ude00", b"\n", b"\r\n", b"\t", b"\x7f", b"\xc2\x85", b"\xe2\x80\xa8", b'"', b"\\", b"\\x", b":", b",",
    "\u241f".encode(), "\u241e".encode(), "\u2400".encode(), "\u202e".encode(), "\U0001f600".encode(), b"a" * 300,
    b'"user":"u",', b'"item":"i",', b"'); DROP TABLE events; --", b"${jndi:ldap://x}", b"<script>", b"../../etc/passwd",
)  # fmt: skip
_LONG = 100_000  # bytes of a value that is made long, now and then


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 7, 2**63, 10**30, 0.5, 1e308, "", " ", "x", "i01", "ann", "a" * 300, "é" * 130, "\ud800", "\x00",
    "\x1b[2J", "\u202e", "\U0001f600", "\u241f\u241e\u2400\u240a", [], ["x"], {}, {"a": 1}, {"a": []}, {"": "x" * 5000},
)  # fmt: skip
"""What a field may hold that was meant for something else."""


def mutate(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds, changed in some fields where it is JSON, or in one to six places, or both."""
    value = random.choice(seeds)
    is_json = value.lstrip()[:1] == b"{"
    if is_json and random.random() < 0.6:
        value = _change_fields(random, value)
        if random.random() < 0.7:
            return value
    for _ in range(random.randint(1, 6)):
        value = _change(random, value, seeds)
    return value


def _change_fields(random: Random, value: bytes) -> bytes:
    fields = json.loads(value)
    for _ in range(random.randint(1, 3)):
        name = random.choice((*fields, "basket", "session", "domain", "value", "at", "x"))
        if random.random() < 0.15:
            fields.pop(name, None)
        else:
            fields[name] = random.choice(ODD)
    return json.dumps(fields, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _change(random: Random, value: bytes, seeds: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(value))
    end = min(len(value), at + random.randint(0, 8))
    kind = random.randrange(1000)
    if kind < 250 and value:  # a bit
        at = random.randrange(len(value))
        return value[:at] + bytes((value[at] ^ (1 << random.randrange(8)),)) + value[at + 1 :]
    if kind < 400:  # gone
        return value[:at] + value[end:]
    if kind < 600:
        return value[:at] + random.choice(TOKENS) + value[end:]
    if kind < 700:
        return value[:at] + random.randbytes(random.randint(1, 4)) + value[end:]
    if kind < 800:  # spliced
        other = random.choice(seeds)
        return value[:at] + other[random.randint(0, len(other)) :]
    if kind < 900:  # repeated
        return value[:at] + value[at:end] * random.randint(2, 20) + value[end:]
    if kind < 998:  # cut
        return value[:at]
    return value[:at] + random.choice((b"a", b" ", b"[", b'"', b"\\", b"{")) * _LONG + value[at:]
