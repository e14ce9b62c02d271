"""The application: routes over the view, the page, and the guard around them."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.convertors import StringConvertor, register_url_convertor

from state.errors import HeadwaterError
from view.answers import Click, Health, Login, Problem, Readiness, Recommendations, Sent, Similar, Users
from view.clicks import Clicks
from view.exposition import Exposition
from view.guard import COOKIE, Guard
from view.live import stream
from view.portrait import portrait, recommendations
from view.view import View


class AnyId(StringConvertor):
    """An id in a path: any text, slashes and line ends too."""

    regex = r"(?s:.*)"


register_url_convertor("id", AnyId())

PAGE = Path(__file__).with_name("page")
_RUN_S = 0.5  # for which a state of the run is good for all who watch

Many = Annotated[int, Query(ge=1, le=1000, description="at most so many")]
Responses = dict[int | str, dict[str, Any]]


class Serving(NamedTuple):
    """What the application is told of its surroundings."""

    live: bool
    is_ready: Callable[[], bool]  # whether all that was there at the start has been read
    behind: Callable[[], int]  # records that wait
    stopping: threading.Event
    token: str
    any_host: bool
    requests_per_s: float


def build(view: View, serving: Serving, clicks: Clicks | None) -> Guard:
    """Return the application, guarded."""
    exposition = Exposition(view, _now_ms)
    app = FastAPI(
        title="Headwater",
        description="The newest lists of a job or a replay, and what its meters say.",
        docs_url=None,  # its assets come from the network
        redoc_url=None,
    )
    guard = Guard(
        app,
        token=serving.token,
        requests_per_s=serving.requests_per_s,
        any_host=serving.any_host,
        observe=exposition.observe,
    )
    _answer_errors(app)
    _serve_lists(app, view, live=serving.live)
    _serve_state(app, view, serving, exposition)
    _serve_page(app, view, serving, clicks, guard)
    if clicks is not None:
        _take_clicks(app, clicks)
    return guard


def _answers(shape: type, *, or_not: dict[int, str] | None = None) -> Responses:
    """Describe the answers of a route; all of them may also be 401 and 429."""
    problems = {401: "no token, or a wrong one", 422: "a value out of its range", 429: "too many requests"} | (
        or_not or {}
    )
    return {200: {"model": shape}, **{code: {"model": Problem, "description": text} for code, text in problems.items()}}


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def _answer_errors(app: FastAPI) -> None:
    """Say in one line what is wrong with a request."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        told = [f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors()]
        return _json({"detail": "; ".join(told)}, 422)

    @app.exception_handler(HeadwaterError)
    async def failed(_: Request, error: HeadwaterError) -> Response:
        return _json({"detail": str(error)}, 503)


def _serve_lists(app: FastAPI, view: View, *, live: bool) -> None:
    @app.get("/users/{user:id}/recommendations", responses=_answers(Recommendations), tags=["lists"])
    async def get_recommendations(user: str, k: Many = 20) -> Response:
        """Return a user's newest list; a user without one gets what is popular now."""
        return _json(recommendations(view, user, k, _now_ms(), live=live))

    @app.get("/users", responses=_answers(Users), tags=["lists"])
    async def get_users(prefix: str = "", k: Many = 20) -> Response:
        """Return users whose ids begin with `prefix`; without one, those whose lists changed last."""
        return _json({"users": view.people.find(prefix, k) if prefix else list(view.people.recent[:k])})

    @app.get(
        "/items/{item:id}/similar",
        responses=_answers(Similar, or_not={404: "no vector is known for the item"}),
        tags=["items"],
    )
    def get_similar(item: str, k: Many = 20) -> Response:  # a thread's work: a product over the whole catalogue
        """Return the items nearest to an item by the frozen encoder's vectors."""
        found = view.neighbours.similar(item, k)
        if found is None:
            return _json({"detail": f"no vector is known for the item {item!r}"}, 404)
        items = [{"item": name, "title": view.shelf.get(name).title, "cosine": cosine} for name, cosine in found]
        return _json(
            {"item": item, "title": view.shelf.get(item).title, "model_id": view.neighbours.model_id, "items": items}
        )


def _serve_state(app: FastAPI, view: View, serving: Serving, exposition: Exposition) -> None:
    @app.get("/healthz", responses=_answers(Health), tags=["operation"])
    async def get_health() -> Response:
        """Say that the server works; needs no token."""
        return _json({"status": "ok"})

    @app.get(
        "/readyz",
        responses=_answers(Readiness, or_not={503: "still reading what was there at the start"}),
        tags=["operation"],
    )
    async def get_readiness() -> Response:
        """Say whether everything that was there at the start has been read; needs no token."""
        ready = serving.is_ready()
        return _json({"ready": ready, "behind": serving.behind()}, 200 if ready else 503)

    @app.get("/metrics", tags=["operation"], response_class=Response)
    def get_metrics() -> Response:
        """Return the meters as Prometheus reads them."""
        return Response(exposition.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _serve_page(app: FastAPI, view: View, serving: Serving, clicks: Clicks | None, guard: Guard) -> None:
    state: list[Any] = [0.0, b""]

    def run() -> bytes:
        """Return the state of the run, which all who watch share."""
        if time.monotonic() - state[0] >= _RUN_S:
            about = {"kind": "live" if serving.live else "replay", "clicks": clicks is not None}
            ready = {"ready": serving.is_ready(), "behind": serving.behind()}
            state[:] = time.monotonic(), msgspec.json.encode({**about, **ready, **view.shown(_now_ms())})
        return bytes(state[1])

    @app.get("/live", tags=["page"], response_class=StreamingResponse)
    async def get_live(request: Request, user: str = "") -> Response:
        """Stream the state of the run, and of a user, as server-sent events `run` and `user`."""
        shown = (lambda: {**portrait(view, user, 0, live=serving.live), "age_s": None}) if user else None
        return StreamingResponse(stream(run, shown, serving.stopping.is_set), media_type="text/event-stream")

    @app.get("/", include_in_schema=False)
    async def get_page() -> Response:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    @app.post("/session", status_code=204, responses={401: {"model": Problem}}, tags=["page"])
    async def log_in(login: Login) -> Response:
        """Trade the token for a cookie, for browsers; needs no token."""
        if not serving.token or not guard.is_token(login.token):
            await asyncio.sleep(0.2)
            return _json({"detail": "this is not the server's token"}, 401)
        answer = Response(status_code=204)
        answer.set_cookie(COOKIE, guard.session(), httponly=True, samesite="strict", max_age=12 * 3600)
        return answer

    app.mount("/page", StaticFiles(directory=PAGE))


def _take_clicks(app: FastAPI, clicks: Clicks) -> None:
    @app.post("/events", responses=_answers(Sent, or_not={503: "the broker did not take it"}), tags=["page"])
    def post_event(click: Click) -> Response:
        """Send an event of a user on an item to the job's topic; only with `headwater serve --clicks`."""
        taken = clicks.send(click.user, click.item, _now_ms())
        where = {"partition": taken.partition, "offset": taken.offset}
        return _json({"event_id": taken.event_id, "at": taken.at_ms, **where})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
