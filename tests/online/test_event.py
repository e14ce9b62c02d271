"""Laws of decoding: every byte string is an event or has a reason, and nothing is raised."""

import ast
import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online import event as module
from online.event import REASONS, Event, decode_event
from online.record import FLAGS
from tests.strategies import nested, odd_bytes, quick

LIMIT = 1 << 20


def decode(value: bytes | None, key: bytes | None = b"u", domain: str = "shop") -> Event | str:
    return decode_event(key, value, domain=domain, max_bytes=LIMIT)


def reason_of(**fields: Any) -> str:
    got = decode(json.dumps({"user": "u", "item": "i", **fields}).encode())
    return got if isinstance(got, str) else ""


@given(key=st.none() | st.binary(max_size=5), value=odd_bytes())
@quick
def test_arbitrary_bytes_never_raise(key: bytes | None, value: bytes | None) -> None:
    """The result is an event whose key is its user, or a documented reason code."""
    got = decode(value, key)
    if isinstance(got, Event):
        assert key == got.user.encode() and got.item and got.domain in (None, "shop")
    else:
        assert got in REASONS


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null_value"),
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b'{"user":"u","item":"i"} x', "bad_json"),
        (b"\xff\xfe\x00", "bad_utf8"),
        (b'{"user":"u","item":"\xff"}', "bad_utf8"),
        (b'{"user":"u","item":"\xed\xa0\x80"}', "bad_utf8"),  # a surrogate spelt in UTF-8
        (nested(100_000), "bad_schema"),  # an array: no need to look inside
        (b'{"user":"u","item":"i","x":' + nested(100_000), "too_deep"),
        (b'{"user":' * 100_000, "bad_schema"),
        (b'{"x":' * 100_000, "too_deep"),
        (b'{"user":"u","item":"\\ud800"}', "bad_json"),  # a lone surrogate is no Unicode
        (b'{"user":"u","item":"i","x":"' + b"a" * 2_000_000 + b'"}', "too_large"),
        (b" " * LIMIT, "bad_json"),
        (b" " * (LIMIT + 1), "too_large"),
        (b"null", "bad_schema"),
        (b'{"user":"u"}', "bad_schema"),
        (b'{"user":"u","item":7}', "bad_schema"),
        (b'{"user":"u","item":"i","value":1e999}', "bad_schema"),
        (b'{"user":"u","item":"i","value":NaN}', "bad_json"),
        (b'{"user":"u","item":"i","at":' + b"9" * 5000 + b"}", "bad_schema"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_reasons_of_damaged_values(value: bytes | None, reason: str) -> None:
    """Each kind of damage has its own stable code."""
    assert decode(value) == reason


def test_reasons_of_bad_fields() -> None:
    """Ids are bounded and not empty; the key is the user; another domain is not ours."""
    assert reason_of(item="") == "bad_id"
    assert reason_of(item="i" * 256) == ""
    assert reason_of(item="é" * 129) == "bad_id"  # 258 bytes
    assert reason_of(event_id="e" * 257) == reason_of(basket="b" * 257) == reason_of(session="s" * 257) == "bad_id"
    assert reason_of(user="v") == "key_mismatch"
    assert reason_of(domain="other") == "other_domain"
    assert reason_of(domain="shop") == reason_of(domain=None) == ""
    assert reason_of(context={"a": 1, "b": "x"}) == ""
    assert reason_of(context={"a": []}) == "bad_schema"
    assert decode(b'{"user":"u","item":"i"}', None) == "key_mismatch"
    assert decode(b'{"user":"","item":"i"}', b"") == "bad_id"


def test_unknown_fields_are_ignored() -> None:
    """A producer may send more than we read."""
    assert decode(b'{"price":{"eur":[1,2]},"user":"u","item":"i"}') == Event("u", "i")


def test_every_reason_is_documented() -> None:
    """REASONS explains every code of `decode_event` and every flag given before the tick."""
    tree = ast.parse(inspect.getsource(module.decode_event))
    returned = {
        leaf.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Return) and node.value
        for leaf in ast.walk(node.value)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
    }
    assert len(returned) >= 9
    assert returned | set(FLAGS) <= REASONS.keys()
    assert all(text and not text.endswith(".") for text in REASONS.values())
