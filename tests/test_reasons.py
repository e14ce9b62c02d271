"""Every reason code is documented as the code says it, and reached by a test."""

import ast
import re
from pathlib import Path

import pytest

from online.event import REASONS

ROOT = Path(__file__).parent.parent
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_docs_list_every_reason() -> None:
    """docs/formats.md has each code with its meaning, in the order of the code, and no other."""
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| ([^|]+) \|$", FORMATS, re.MULTILINE)
    assert [(code, meaning.strip()) for code, meaning in rows if code not in FIELDS] == list(REASONS.items())


FIELDS = ("action", "at", "value", "context", "domain")
"""Rows of the other table, on the fields of an event, that look alike."""


@pytest.mark.parametrize("reason", REASONS)
def test_a_test_reaches_every_reason(reason: str) -> None:
    """Some assertion of another test file names the code, or the constant that holds it."""
    constant = reason.upper()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Constant) and node.value == reason
            if named or (isinstance(node, ast.Name) and node.id == constant):
                return
    raise AssertionError(f"no test names {reason}")
