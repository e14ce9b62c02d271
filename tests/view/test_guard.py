"""Laws of the guard: strangers read nothing, other origins change nothing, nobody frames the page or floods it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.view.lines import batch, list_line, listed, open_view
from tests.view.running import ask, post, serving
from view.guard import HEADERS, Buckets
from view.view import View

TOKEN = "correct horse battery staple"


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    """Yield a view with one list."""
    made, store = open_view(tmp_path / "store")
    made.fold(batch(listed(list_line("u", 1, "a b"))), 0)
    yield made
    store.close()


def test_without_the_token_nothing_is_read(view: View) -> None:
    """Only the empty page and the probes are open; a wrong or half token is none."""
    with serving(view, token=TOKEN) as port:
        for path in (
            "/users",
            "/users/u/recommendations",
            "/items/a/similar",
            "/metrics",
            "/openapi.json",
            "/live",
            "/pages",
            "//",
        ):
            assert ask(port, path).status == 401, path
            assert ask(port, path, authorization=f"Bearer {TOKEN[:-1]}").status == 401, path
            assert ask(port, path, authorization="Bearer").status == 401, path
            assert ask(port, path, cookie="headwater=" + TOKEN).status == 401, path
        for path in ("/", "/healthz", "/readyz", "/page/app.js"):
            assert ask(port, path).status == 200, path
        assert ask(port, "/users", authorization=f"Bearer {TOKEN}").json == {"users": ["u"]}
        assert ask(port, "/page/../users").status in (401, 404)


def test_a_browser_logs_in(view: View) -> None:
    """The cookie proves the token, does not hold it, and no script and no other site gets at it."""
    with serving(view, token=TOKEN) as port:
        assert post(port, "/session", {"token": "guess"}).status == 401
        answer = post(port, "/session", {"token": TOKEN})
        assert answer.status == 204
        cookie, *flags = answer.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=strict"} <= set(flags)
        assert TOKEN not in cookie
        assert ask(port, "/users", cookie=cookie).status == 200


def test_other_origins_change_nothing(view: View) -> None:
    """A form or a script of another page is refused, before anything looks at it; a program's request is not."""
    with serving(view, token=TOKEN) as port:
        for origin in (
            "http://evil.example",
            "null",
            f"http://127.0.0.1:{port + 1}",
            f"http://127.0.0.1.evil.example:{port}",
        ):
            assert post(port, "/session", {"token": TOKEN}, origin=origin).status == 403, origin
        assert post(port, "/session", {"token": TOKEN}, origin=f"http://127.0.0.1:{port}").status == 204
        form = ask(port, "/session", "POST", b"token=x", content_type="application/x-www-form-urlencoded")
        assert form.status == 415
        assert ask(port, "/session", "POST", b"{}" + b" " * 20_000, content_type="application/json").status == 413
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert ask(port, "/users", method, b"{}", content_type="application/json").status == 405


def test_other_names_of_this_machine_are_refused(view: View) -> None:
    """DNS rebinding: a stranger's name that resolves to loopback reads nothing."""
    with serving(view) as port:
        assert ask(port, "/users", host="evil.example").status == 421
        assert ask(port, "/users", host=f"127.0.0.1.evil.example:{port}").status == 421
        assert ask(port, "/users", host=f"localhost:{port}").status == 200
        assert ask(port, "/users", host="[::1]").status == 200


def test_every_answer_has_the_headers(view: View) -> None:
    """Errors too: no frame, no script from elsewhere, no sniffing, no cache."""
    with serving(view) as port:
        for path in ("/", "/users", "/nothing", "/users?k=0", "/page/app.js"):
            headers = ask(port, path).headers
            assert HEADERS.items() <= headers.items(), path
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers or headers["server"] == "uvicorn"  # of the test's own server
        assert "frame-ancestors 'none'" in HEADERS["content-security-policy"]
        assert "unsafe" not in HEADERS["content-security-policy"]


def test_floods_are_refused(view: View) -> None:
    """Twice the rate at once, then the rate; the others are told to wait."""
    with serving(view, requests_per_s=5) as port:
        answers = [ask(port, "/healthz") for _ in range(40)]
        assert {answer.status for answer in answers} == {200, 429}
        assert 10 <= sum(answer.status == 200 for answer in answers) <= 25
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.headers["retry-after"] == "1"


def test_buckets_fill_by_the_clock() -> None:
    """Each address has its own; the oldest are forgotten, so that memory is bounded."""
    now = 0.0
    buckets = Buckets(2, lambda: now)
    assert [buckets.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert buckets.take("b")
    now = 1.0
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
    for number in range(20_000):
        buckets.take(f"c{number}")
    assert len(buckets._left) == 10_000
