"""Compares bytes with a golden file."""

import os
from pathlib import Path

from state.codec import frame, unframe

REFRESH = "HEADWATER_REFRESH_GOLDEN"


def check_golden(name: str, raw: bytes) -> bytes:
    """Return the golden file's bytes; fail when `raw`, the same value as encoded now, differs from them."""
    path = Path(__file__).parent / f"{name}.bin"
    if os.environ.get(REFRESH):
        path.write_bytes(raw)
    golden = path.read_bytes()
    assert raw == golden, (
        f"the bytes of {path.name} changed: states written by earlier builds cannot be read any more.\n"
        f"  then: {golden.hex()}\n  now:  {raw.hex()}\n"
        "If that is not intended, undo it. If it is, bump the SCHEMA_VERSION of this kind, add a migration from the "
        "version before, keep this file, and write the new version's file with\n"
        f"  {REFRESH}=1 python -m pytest tests -k golden"
    )
    return golden


def read_golden(name: str) -> bytes:
    """Return the bytes that a released build wrote, of a schema version that this one only reads."""
    return (Path(__file__).parent / f"{name}.bin").read_bytes()


def with_version(raw: bytes, kind: int, version: int, other: int) -> bytes:
    """Return a whole frame as a build with schema version `other` would write it."""
    return frame(kind, other, unframe(raw, kind, version))
