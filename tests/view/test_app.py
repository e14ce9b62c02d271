"""Laws of the REST interface: every answer has the shape that its description tells, whatever the ids are."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from models.vectors import VectorRecord, encode_record
from tests.view.lines import batch, list_line, listed, measured, metrics_line, open_view
from tests.view.running import ask, serving
from view.answers import Health, Problem, Readiness, Recommendations, Similar, Users
from view.arrivals import Arrived

NAUGHTY = [
    "<script>alert(1)</script>",
    "a/b",
    "a/recommendations",
    "..",
    "%2e%2e/../etc",
    "?k=1#x",
    "ünïcödé 😀",
    "'; drop table users; --",
    '"quoted\\"',
    " spaced ",
    "x" * 256,
    "\u202eevil",
    "line\nbreak",
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serve a small run: a list and an event for every naughty user."""
    import numpy as np

    view, store = open_view(tmp_path_factory.mktemp("app") / "store")
    for number, user in enumerate(NAUGHTY, 1):
        tick = json.loads(metrics_line(number, "u:i"))
        tick |= {"user": [user], "item": [user], "ranks": {"headwater": [2]}}
        view.fold(batch(measured(json.dumps(tick).encode())), 0)
        line = json.loads(list_line(user, number, "a b c"))
        view.fold(batch(listed(json.dumps({**line, "items": ["a", user]}).encode())), 0)
        vector = encode_record(VectorRecord("m", "", 0, np.array([1, number], np.float32)))
        view.fold(batch(Arrived("vectors", user.encode(), vector, 0)), 0)
    view.fold(
        batch(
            Arrived("items", b"a", '{"title": "<b>Ä</b>"}'.encode(), 0),
            Arrived("dead_letters", b"", b'{"reason": "late"}', 0),
        ),
        0,
    )
    with serving(view) as running:
        yield running
    store.close()


@pytest.mark.parametrize("user", NAUGHTY)
def test_any_user_has_recommendations(port: int, user: str) -> None:
    """An id is a path of its own once it is escaped, and comes back as it was."""
    answer = ask(port, f"/users/{quote(user, safe='')}/recommendations")
    assert answer.status == 200
    told = Recommendations.model_validate_json(answer.body, strict=True)
    assert (told.user, told.source, [each.item for each in told.items]) == (user, "list", ["a", user])
    assert told.items[0].title == "<b>Ä</b>"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("item", NAUGHTY)
def test_any_item_has_neighbours(port: int, item: str) -> None:
    """The same of items."""
    answer = ask(port, f"/items/{quote(item, safe='')}/similar?k=3")
    told = Similar.model_validate_json(answer.body, strict=True)
    assert (answer.status, told.item, len(told.items)) == (200, item, 3)


def test_unknown_users_get_the_fallback(port: int) -> None:
    """What is popular now, marked as such, with no head; `k` shortens it."""
    told = Recommendations.model_validate_json(ask(port, "/users/nobody/recommendations?k=2").body, strict=True)
    assert (told.source, len(told.items), told.head, told.after) == ("fallback", 2, None, None)


def test_users_are_found(port: int) -> None:
    """By the beginning of their ids; without one those whose lists changed last."""
    found = Users.model_validate_json(ask(port, f"/users?prefix={quote('a/')}").body, strict=True)
    assert found.users == ["a/b", "a/recommendations"]
    assert Users.model_validate_json(ask(port, "/users?k=2").body).users == NAUGHTY[:-3:-1]


def test_probes(port: int) -> None:
    """Alive, and ready."""
    assert Health.model_validate_json(ask(port, "/healthz").body).status == "ok"
    assert Readiness.model_validate_json(ask(port, "/readyz").body).ready


def test_what_is_wrong_is_told(port: int) -> None:
    """In one line, with the status that the description tells; no traceback."""
    for path, status, text in (
        ("/items/nothing/similar", 404, "no vector is known for the item 'nothing'"),
        ("/users/u/recommendations?k=0", 422, "k: Input should be greater than or equal to 1"),
        ("/users?k=many", 422, "k: Input should be a valid integer"),
    ):
        answer = ask(port, path)
        assert answer.status == status
        assert text in Problem.model_validate_json(answer.body).detail


def test_the_description_is_whole(port: int) -> None:
    """Every route has a summary, its parameters, and a shape for its answer; nothing is taken from the network."""
    told = ask(port, "/openapi.json").json
    assert {*told["paths"]} == {
        "/users/{user}/recommendations", "/users", "/items/{item}/similar", "/healthz", "/readyz", "/metrics",
        "/live", "/session",
    }  # fmt: skip
    for path in ("/users/{user}/recommendations", "/users", "/items/{item}/similar"):
        answers = told["paths"][path]["get"]["responses"]
        assert {"200", "401", "422", "429"} <= answers.keys()
        assert "$ref" in answers["200"]["content"]["application/json"]["schema"]
    assert ask(port, "/docs").status == ask(port, "/events").status == 404


def test_metrics_are_prometheus_text(port: int) -> None:
    """A parser of the format reads them, requests included."""
    from prometheus_client.parser import text_string_to_metric_families

    families = {each.name: each for each in text_string_to_metric_families(ask(port, "/metrics").body.decode())}
    assert families["headwater_dead_letters"].samples[0][:3] == (
        "headwater_dead_letters_total",
        {"reason": "late"},
        1.0,
    )
    assert families["headwater_events_accepted"].samples[0].value == len(NAUGHTY)
    models = {sample.labels["model"]: sample.value for sample in families["headwater_prequential_hr_at_10"].samples}
    assert models == {"headwater": 1.0}
    routes = {sample.labels["route"] for sample in families["headwater_http_request_seconds"].samples}
    assert "/users/{user:id}/recommendations" in routes
    assert not any(user in route for user in NAUGHTY[:5] for route in routes)


def test_the_stream_tells_a_user_and_the_run(port: int) -> None:
    """Two events at once: what the page needs of the user, and of the run."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"/live?user={quote(NAUGHTY[0])}")
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    told: dict[str, dict[str, object]] = {}
    while len(told) < 2:
        name = answer.readline().decode().removeprefix("event: ").strip()
        told[name] = json.loads(answer.readline().decode().removeprefix("data: "))
        assert answer.readline() == b"\n"
    connection.close()
    assert told["user"]["user"] == NAUGHTY[0]
    assert told["run"]["dead_letters"] == {"late": 1}


def test_page_is_ours_alone() -> None:
    """No file of the page names another host, runs text as code, or makes markup of text."""
    page = Path(__file__).parents[2] / "view" / "page"
    for file in page.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text, file
        for unsafe in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "onclick=",
            "style=",
        ):
            assert unsafe not in text, f"{file.name}: {unsafe}"
