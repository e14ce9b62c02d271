"""Our own commands as processes that belong together: started one by one, stopped in reverse, none left behind."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from jobs.children import environment, headwater
from jobs.supervisor import end_group
from state.errors import HeadwaterError

STOP_S = 40.0  # until SIGKILL; `headwater run` makes a savepoint first
TAIL_LINES = 12  # of the log of one that ended by itself


class _Child(NamedTuple):
    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Crew:
    """A group of `headwater` commands with a log each; as a context manager it stops what it started.

    Each runs in a session of its own: Ctrl-C in the terminal reaches us alone, and we stop them in order. What one of
    them has started itself is of its session and is ended with it.
    """

    def __init__(self, logs: Path) -> None:
        """Keep logs in `logs`, which is there."""
        self._logs = logs
        self._children: list[_Child] = []
        self._ending: set[str] = set()

    def start(self, *arguments: str, ends: bool = False) -> None:
        """Start `headwater ARGUMENTS`; its name is the first of them. `ends`: it may end by itself, if it ends well."""
        log = self._logs / f"{arguments[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                headwater(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment(),
                start_new_session=True,
            )
        if ends:
            self._ending.add(arguments[0])
        self._children.append(_Child(arguments[0], process, log))

    def check(self) -> None:
        """Hold that all are running, but for those that may end and have ended well.

        Raises:
            HeadwaterError: one has ended by itself.
        """
        for name, process, log in self._children:
            if (status := process.poll()) is not None and not (name in self._ending and status == 0):
                tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
                raise HeadwaterError(f"headwater {name} ended by itself (status {status}):\n{tail}\nits log is {log}")

    def is_done(self, name: str) -> bool:
        """Say whether a child that ends by itself has ended well; `check` tells where it has not."""
        done = [child for child in self._children if child.name == name and child.process.poll() == 0]
        self._children = [child for child in self._children if child not in done]
        return bool(done)

    def log_holds(self, name: str, text: str) -> bool:
        """Say whether a child has told `text`."""
        return any(
            text in child.log.read_text(encoding="utf-8", errors="replace")
            for child in self._children
            if child.name == name
        )

    def stop(self) -> None:
        """Stop all, the newest first: SIGTERM, and SIGKILL to those that stay."""
        while self._children:
            _, process, _ = self._children.pop()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            deadline = time.monotonic() + STOP_S
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            end_group(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
