"""Processes that a killed run left behind: found by a mark in their environment, and ended before the next one starts.

A run that dies by SIGKILL cannot end its JVM, which notices and stops in its own time, nor can a JVM that dies so end
its Python workers, which live on for minutes. Either could still commit what the next run does once more.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from state.errors import HeadwaterError

_MARK = "HEADWATER_FOLDER"  # the folder of the run that a process belongs to
_PROC = Path("/proc")
_GONE_S = 10.0  # until a killed process is gone; it is busy giving back its memory


def take_over(folder: Path) -> int:
    """End what an earlier run of `folder` left, and mark what this process starts; return how many were ended.

    To be called while `folder` is held, so that what is found belongs to nobody.

    Raises:
        HeadwaterError: one of them does not end.
    """
    ended = end_all(folder)
    os.environ[_MARK] = str(folder.absolute())
    return ended


def end_all(folder: Path) -> int:
    """End the marked processes of a run that do not live under this one; return how many there were.

    Raises:
        HeadwaterError: one of them does not end.
    """
    orphans = _marked(folder)
    deadline = time.monotonic() + _GONE_S
    left = orphans
    while left:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise HeadwaterError(
                f"process {left[0]}, left by an earlier run in {folder}, does not end; it could write the same outputs "
                "once more; end it by hand and try again"
            )
        time.sleep(0.05)
        left = _marked(folder)
    return len(orphans)


def end_ours() -> None:
    """End what is left of this process's own run: the workers of a JVM that is gone."""
    if folder := os.environ.get(_MARK):
        end_all(Path(folder))


def _marked(folder: Path) -> list[int]:
    """Return the processes whose environment names the folder; none where a system does not tell (only Linux does)."""
    mark = f"{_MARK}={folder.absolute()}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is another user's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return [pid for pid in found if os.getpid() not in _line_of(pid)]


def _line_of(pid: int) -> set[int]:
    """Return a process, its parent, and so on."""
    line: set[int] = set()
    while pid > 1 and pid not in line:
        line.add(pid)
        try:
            pid = int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            break
    return line
