"""Keeps processes running: starts each, starts again what ends unasked, and leaves none behind, orphans included."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

POLL_S = 0.1
STOP_S = 10.0  # then SIGKILL; Flink's processes end in 1-2 s
FIRST_DELAY_S, LONGEST_DELAY_S = (
    0.1,
    10.0,
)  # before a process that ended is started again; doubled while it keeps ending
STEADY_S = 10.0  # one that ran for so long is well: its next end is a first one


class Member(NamedTuple):
    """A process to keep running; its group is all that it starts itself."""

    name: str
    command: Sequence[str]
    console: Path  # what it prints; appended to
    temporary: Path  # its own folder, emptied before each start: what a killed one leaves there nobody else removes


class Running(NamedTuple):
    """What is known of a member now."""

    pid: int  # 0: it waits to be started again
    starts: int  # how often it was started


class Supervisor:
    """Runs members until told to stop."""

    def __init__(
        self,
        members: Sequence[Member],
        environment: Mapping[str, str],
        folder: Path,
        record: Callable[[dict[str, Running]], None],
    ) -> None:
        """Start nothing yet.

        Args:
            members: in the order of their start; they are stopped in the opposite order.
            environment: of all.
            folder: their working directory.
            record: told the state of all members after each change.
        """
        self._members = members
        self._environment = environment
        self._folder = folder
        self._record = record
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = dict.fromkeys((member.name for member in members), 0)
        self._delays = dict.fromkeys(self._starts, FIRST_DELAY_S)
        self._due = dict.fromkeys(self._starts, 0.0)  # when to start it again
        self._since = dict.fromkeys(self._starts, 0.0)

    def run(self, stop: threading.Event) -> None:
        """Keep all members running until `stop` is set; then end them."""
        try:
            while not stop.wait(POLL_S):
                if [member for member in self._members if self._tend(member)]:
                    self._record(self._state())
        finally:
            self._end()

    def _tend(self, member: Member) -> bool:
        """Look after one member; tell whether anything changed."""
        process = self._processes.get(member.name)
        if process is not None:
            status = process.poll()
            if status is None:
                return False
            self._ended(member, status)
            return True
        if time.monotonic() < self._due[member.name]:
            return False
        self._start(member)
        return True

    def _start(self, member: Member) -> None:
        empty(member.temporary)
        with member.console.open("ab") as console:
            self._processes[member.name] = subprocess.Popen(
                member.command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=dict(self._environment),
                cwd=self._folder,
                start_new_session=True,  # its own group, by which its children are found when it is gone
            )
        self._starts[member.name] += 1
        self._since[member.name] = time.monotonic()

    def _ended(self, member: Member, status: int) -> None:
        name, process = member.name, self._processes.pop(member.name)
        end_group(process.pid, signal.SIGKILL)  # the Python workers of a killed task manager live on, 250 MB each
        if time.monotonic() - self._since[name] > STEADY_S:
            self._delays[name] = FIRST_DELAY_S
        delay_s = self._delays[name]
        self._delays[name] = min(2 * delay_s, LONGEST_DELAY_S)
        self._due[name] = time.monotonic() + delay_s
        _tell(f"{name} (pid {process.pid}) ended with {status}; it is started again in {delay_s:g} s")

    def _end(self) -> None:
        leaving = [self._processes[member.name] for member in reversed(self._members) if member.name in self._processes]
        for process in leaving:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in leaving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            end_group(process.pid, signal.SIGKILL)
            process.wait()

    def _state(self) -> dict[str, Running]:
        pids = {name: process.pid for name, process in self._processes.items()}
        return {name: Running(pids.get(name, 0), starts) for name, starts in self._starts.items()}


def end_group(pid: int, number: int) -> None:
    """Signal all processes of the group that `pid` began, whether or not it lives itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def empty(folder: Path) -> None:
    """Make `folder`, with nothing in it."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def _tell(what: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {what}", file=sys.stderr, flush=True)
