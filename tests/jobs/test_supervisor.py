"""Laws of the supervisor: what ends unasked starts again, ever more slowly; nothing it started is left behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.supervisor import LONGEST_DELAY_S, Member, Running, Supervisor
from tests.jobs.processes import lives

# A parent and its child, as a task manager and its Python worker; the child writes its number.
WITH_CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


class Watched:
    """A supervisor in a thread, and the last that it recorded."""

    def __init__(self, folder: Path, *scripts: str) -> None:
        members = [
            Member(name, [sys.executable, "-c", script, str(folder / f"{name}.child")], folder / "out", folder / name)
            for name, script in zip(("m0", "m1"), scripts, strict=False)
        ]
        self.state: dict[str, Running] = {}
        self.stop = threading.Event()
        supervisor = Supervisor(members, os.environ, folder, self._record)
        self._thread = threading.Thread(target=supervisor.run, args=(self.stop,))

    def _record(self, state: dict[str, Running]) -> None:
        self.state = state

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def until(what: Callable[[], object], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks /proc whether a process lives")
def test_a_killed_member_starts_again_without_its_orphans(tmp_path: Path) -> None:
    """Its children, which the system lets live, are ended before it starts again; and all when the supervisor stops."""
    child_file = tmp_path / "m0.child"
    with Watched(tmp_path, WITH_CHILD) as watched:
        until(child_file.exists)
        until(child_file.read_text)
        first, orphan = watched.state["m0"], int(child_file.read_text())
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: watched.state["m0"].pid not in (0, first.pid))
        assert watched.state["m0"].starts == 2
        until(lambda: not lives(orphan))
        until(lambda: int(child_file.read_text() or orphan) != orphan)
        last = int(child_file.read_text())
        assert lives(last)
    until(lambda: not lives(last))


def test_one_that_cannot_run_is_tried_ever_more_slowly(tmp_path: Path) -> None:
    """It neither spins nor stops the others."""
    with Watched(tmp_path, "raise SystemExit(3)", "import time; time.sleep(600)") as watched:
        until(lambda: watched.state and watched.state["m0"].starts >= 4)
        before = time.monotonic()
        until(lambda: watched.state["m0"].starts >= 5)
        assert 0.4 < time.monotonic() - before < LONGEST_DELAY_S
        assert watched.state["m1"] == Running(watched.state["m1"].pid, 1)
