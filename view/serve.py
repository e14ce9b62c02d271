"""`headwater serve`: the newest lists by REST, meters for Prometheus, and a page that watches a job or a replay."""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from jobs.config import Config, load_config
from jobs.place import HOME
from models.items import Columns, load_items
from models.vectors import read_vectors
from state.errors import HeadwaterError
from view.arrivals import Feed
from view.store import Store
from view.view import Job, View

HOST, PORT = "127.0.0.1", 8321
TOKEN = "HEADWATER_TOKEN"  # noqa: S105  # the name of the variable that holds it
TOKEN_MIN = 16  # characters
STORE = ".view"  # in a replay's folder
REPORT = "report.json"
_SWITCH_S = 0.0005  # reading must not make a request wait for the interpreter's usual 5 ms
_WAIT_S = 0.2
_LAG_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    source = parser.add_argument_group("what to serve (at least one of them)")
    source.add_argument("--config", type=Path, metavar="F", help="job.toml of a live job")
    source.add_argument("--replay", type=Path, metavar="DIR", help="folder of a replay, also while it runs")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help="(%(default)s; 0: any that is free)")
    parser.add_argument("--host", default=HOST, metavar="A", help="address (%(default)s); any other needs a token")
    parser.add_argument(
        "--token-file", type=Path, metavar="F", help=f"file with the token that requests must bring; or set {TOKEN}"
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="where the view keeps what it has read")
    parser.add_argument(
        "--clicks", action="store_true", help="let the page send events to events.topic, to try the loop"
    )
    parser.add_argument(
        "--rate-limit", type=float, default=2000.0, metavar="N", help="requests/s of one address (%(default)g)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.epilog = "The API describes itself at /openapi.json; the page is at /."


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    config, folder = _source(args)
    token = _token(args.token_file)
    if args.host not in (HOST, "localhost", "::1") and not token:
        raise HeadwaterError(
            f"--host {args.host} can be reached by other machines and there is no token; expected one of "
            f"{TOKEN_MIN} characters or more; set {TOKEN} or give --token-file F, or leave --host out"
        )
    if args.clicks and (config is None or not config.events.topic):
        raise HeadwaterError("--clicks sends events to events.topic, which is not named; add it, or leave --clicks out")
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(_listen(args.host, args.port))
        feed = opened.enter_context(contextlib.closing(_feed(config, folder)))
        store = Store(args.store or _store(config, folder), _identity(config, folder))
        opened.enter_context(contextlib.closing(store))
        return _serve(args, config, folder, feed, store, listener, token)


def _serve(
    args: argparse.Namespace,
    config: Config | None,
    folder: Path | None,
    feed: Feed,
    store: Store,
    listener: socket.socket,
    token: str,
) -> int:
    import uvicorn

    from view.app import Serving, build
    from view.clicks import Clicks
    from view.server import Server

    if store.forgotten:
        _tell(f"{store.folder} was kept of another source or by another version; reading all anew")
    view = View(store, _job(config, folder), time.time_ns() // 1_000_000)
    _load_files(view, config, folder)
    sys.setswitchinterval(_SWITCH_S)
    stopping = threading.Event()
    reader = Reader(view, feed, stopping)
    clicks = Clicks(config) if args.clicks and config is not None else None
    serving = Serving(
        live=feed.live,
        is_ready=lambda: feed.caught_up,
        behind=lambda: reader.behind,
        stopping=stopping,
        token=token,
        any_host=bool(token),
        requests_per_s=args.rate_limit,
    )
    server = Server(
        uvicorn.Config(
            build(view, serving, clicks),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=32 << 10,
        )
    )
    reader.on_failure = lambda: setattr(server, "should_exit", True)

    def told(number: int, frame: FrameType | None) -> None:
        stopping.set()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    reader.start()
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    _tell(f"{view.job.name}: the page is at {url}, the API at {url}openapi.json")
    if args.open:
        webbrowser.open(url)
    server.run(sockets=[listener])
    stopping.set()
    reader.join()
    if clicks is not None:
        clicks.close()
    if reader.failure is not None:
        raise reader.failure
    return 0


class Reader(threading.Thread):
    """Folds what the feed brings into the view until it is told to stop."""

    def __init__(self, view: View, feed: Feed, stopping: threading.Event) -> None:
        """Start where the view stands."""
        super().__init__(name="reader", daemon=True)
        self._view = view
        self._feed = feed
        self._stopping = stopping
        self.behind = 0
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Read on; what fails is told by the main thread, which ends then."""
        try:
            self._read()
        except BaseException as error:  # it is raised again, in the main thread
            self.failure = error
            self._stopping.set()
            self.on_failure()

    def _read(self) -> None:
        if not self._feed.open(self._view.positions):
            self._begin_anew()
        next_lag = 0.0
        while not self._stopping.is_set():
            batch = self._feed.read(_WAIT_S)
            if batch is None:
                self._begin_anew()
                continue
            self._view.fold(batch, time.time_ns() // 1_000_000)
            if time.monotonic() >= next_lag:
                next_lag = time.monotonic() + _LAG_S
                lag = self._feed.lag()
                self.behind = lag.view
                self._view.note(lag, time.time_ns() // 1_000_000)

    def _begin_anew(self) -> None:
        _tell("the source has begun another run; reading all anew")
        self._view.forget()
        self._feed.open({})


def _source(args: argparse.Namespace) -> tuple[Config | None, Path | None]:
    """Return the configuration and the folder; of a replay's folder the configuration only tells the items."""
    if args.config is None and args.replay is None:
        raise HeadwaterError(
            "nothing was named to serve; expected --config job.toml for a live job, "
            "or --replay DIR for a replay's folder"
        )
    config = None if args.config is None else load_config(args.config)
    if args.replay is None and config is not None and not config.events.topic:
        raise HeadwaterError(
            f"{args.config} reads its events from a file; a live view reads topics; "
            "name the folder of its replay with --replay DIR"
        )
    return config, args.replay


def _token(file: Path | None) -> str:
    """Return the token, "" where there is none; never from the command line, which every user of the machine sees."""
    try:
        token = (os.environ.get(TOKEN, "") if file is None else file.read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HeadwaterError(
            f"cannot read the token in {file}: {error}; expected a line of text; check the file"
        ) from None
    if (token or file is not None) and len(token) < TOKEN_MIN:
        raise HeadwaterError(
            f"the token has {len(token)} characters; expected {TOKEN_MIN} or more, as of: openssl rand -hex 16"
        )
    return token


def _listen(host: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as opened:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = opened.enter_context(socket.socket(family, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(512)
            opened.pop_all()
            return listener
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    raise HeadwaterError(
        f"cannot listen at {host} port {port}: {reason}; expected a free port of this machine; "
        "stop what listens there, or give another one with --port"
    )


def _feed(config: Config | None, folder: Path | None) -> Feed:
    if folder is not None:
        from view.folder import FolderFeed

        return FolderFeed(folder)
    from view.topics import TopicFeed

    assert config is not None  # noqa: S101  # of _source
    return TopicFeed(config)


def _store(config: Config | None, folder: Path | None) -> Path:
    if folder is not None:
        return folder / STORE
    assert config is not None  # noqa: S101  # of _source
    return (config.flink.checkpoints or HOME / config.name) / "view"


def _identity(config: Config | None, folder: Path | None) -> str:
    """Return what the store is of."""
    if folder is not None:
        return f"folder {folder.resolve()}"
    assert config is not None  # noqa: S101  # of _source
    topics = (
        config.lists.topic,
        config.metrics.topic,
        config.dead_letters.topic,
        config.items.topic,
        config.vectors.topic,
    )
    return f"kafka {config.kafka.bootstrap} {' '.join(topics)}"


def _job(config: Config | None, folder: Path | None) -> Job:
    if config is not None:
        return Job(config.name, config.learning.half_lives[0], config.lists.top_k)
    told = _report(folder).get("config", {})
    half_lives = told.get("learning", {}).get("half_lives") or [500.0]
    name = told.get("name") or (folder or Path()).resolve().name
    return Job(name, half_lives[0], told.get("lists", {}).get("top_k", 20))


def _load_files(view: View, config: Config | None, folder: Path | None) -> None:
    """Take over items and vectors that come from files."""
    if folder is None:
        assert config is not None  # noqa: S101  # of _source
        path, columns, vectors = config.items.path, config.items.columns, config.vectors.path
        wanted = Columns(columns.item, columns.text, columns.available_at)
    else:
        path, wanted, vectors = _replayed(config, folder)
    if path is not None and path.is_file():
        view.name_items(load_items(path, wanted))
    elif folder is not None:
        _tell("no items file is known, so items are shown by their ids; name one with --config job.toml")
    if vectors is not None and vectors.is_file():
        view.load_vectors(read_vectors(vectors))


def _replayed(config: Config | None, folder: Path) -> tuple[Path | None, Columns, Path | None]:
    """Return a replay's items, their columns and its vectors: of the configuration given, else of its report."""
    own = folder / "vectors.safetensors"
    if config is not None:
        columns = config.items.columns
        vectors = config.vectors.path or own
        return config.items.path, Columns(columns.item, columns.text, columns.available_at), vectors
    told: dict[str, Any] = _report(folder).get("config", {})
    items = told.get("items", {})
    columns = items.get("columns", {})
    text = columns.get("text")
    wanted = Columns(columns.get("item"), None if text is None else tuple(text), columns.get("available_at"))
    path, vectors = items.get("path"), told.get("vectors", {}).get("path")
    return None if path is None else Path(path), wanted, own if vectors is None else Path(vectors)


def _report(folder: Path | None) -> dict[str, Any]:
    """Return a replay's report, nothing while it runs."""
    try:
        found = json.loads(((folder or Path()) / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
