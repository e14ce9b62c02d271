"""A server under test: the application in a thread, or the command as a process; and requests with any path."""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

from jobs.broker import free_port
from view.app import Serving, build
from view.clicks import Clicks
from view.view import View

ROOT = Path(__file__).parents[2]
START_S = 60.0


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """Send one request with the path as it is; headers' names have _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    connection.close()
    return found


def post(port: int, path: str, value: object, **headers: str) -> Answer:
    """Send JSON."""
    return ask(port, path, "POST", json.dumps(value).encode(), content_type="application/json", **headers)


@contextlib.contextmanager
def serving(
    view: View, *, live: bool = False, token: str = "", requests_per_s: float = 10_000, clicks: Clicks | None = None
) -> Iterator[int]:
    """Serve a view in a thread; yield the port."""
    stopping = threading.Event()
    about = Serving(live, lambda: True, lambda: 0, stopping, token, bool(token), requests_per_s)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(build(view, about, clicks), port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield port
    stopping.set()
    server.should_exit = True
    thread.join()


@contextlib.contextmanager
def command(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `headwater serve` on a free port until the block ends; yield the process and the port."""
    import os

    port = free_port()
    line = [sys.executable, "-m", "jobs.cli", "serve", "--port", str(port), *arguments]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        wait_until(lambda: process.poll() is not None or ask(port, "/readyz").status == 200)
        assert process.poll() is None, process.communicate()[1]
        yield process, port
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def wait_until(holds: Any, limit_s: float = START_S) -> None:
    """Wait until something holds; what cannot be asked yet does not."""
    deadline = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if holds():
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
