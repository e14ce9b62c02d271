"""The HTTP server, without its own way with signals: ours end the streams too, or it would wait for them."""

import contextlib
from collections.abc import Iterator

import uvicorn


class Server(uvicorn.Server):
    """Leaves SIGINT and SIGTERM to who runs it, who sets `should_exit`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal; uvicorn calls this around its work."""
        yield
