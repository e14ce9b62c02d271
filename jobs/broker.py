"""A real one-node Kafka broker for development and tests, from pinned jars, bound to 127.0.0.1."""

import argparse
import base64
import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType

from jobs.jars import broker_classpath, cache_dir
from jobs.java import BROKER_OLDEST, child_environment, find_java
from state.errors import HeadwaterError

HOST = "127.0.0.1"  # development only: no other machine may reach it
PORT = 9092
START_TIMEOUT_S = 90.0  # 4 s on an idle machine
STOP_TIMEOUT_S = 20.0  # then SIGKILL; a clean stop takes 1-2 s
HEAP = "512m"
TAIL_LINES = 15  # of the log, shown when the broker dies

_HERE = Path(__file__).parent


class Broker:
    """One broker with its data, configuration, log and pid file in one folder.

    As a context manager it is started on entry and stopped on exit. A broker that another process started from the
    same folder is the same broker: `start` leaves it running, `stop` stops it.
    """

    def __init__(self, folder: Path, port: int = PORT) -> None:
        """Name the folder and the port; nothing is touched before `start`."""
        self.folder = folder.expanduser().resolve()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None  # only where we started it ourselves

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """The broker's log; what Java itself prints is in console.log beside it."""
        return self.folder / "broker.log"

    def pid(self) -> int | None:
        """Return the process id of the running broker of this folder, or None."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        recorded = self._recorded()
        return recorded[0] if recorded and _runs_from(recorded[0], self._properties) else None

    def running_port(self) -> int | None:
        """Return the port on which the broker of this folder was started, or None when it is not running."""
        recorded = self._recorded() if self.pid() else None
        return recorded[1] if recorded else None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> bool:
        """Start the broker and wait until it answers; return False where it was running already.

        Raises:
            HeadwaterError: the port is taken, there is no Java 17 to 21, or the broker died or never answered.
        """
        if running := self.running_port():
            if running != self.port:
                raise HeadwaterError(
                    f"the broker in {self.folder} is running on port {running}; asked for port {self.port}; "
                    f"use {HOST}:{running}, stop it first with `headwater kafka down`, or give another --dir"
                )
            self._wait(timeout_s)
            return False
        require_free(self.port)
        java = find_java(BROKER_OLDEST)
        self._make_folder()
        command = self._command(str(java.executable))
        environment = child_environment(java)
        self._format(command, environment)
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                [*command, "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=environment,
                start_new_session=True,  # `up` ends and the broker goes on; Ctrl-C in a test does not reach it
            )
        self._pid_file.write_text(json.dumps({"pid": self._process.pid, "port": self.port}), encoding="utf-8")
        try:
            self._wait(timeout_s)
        except BaseException:
            self.kill()
            raise
        return True

    def stop(self) -> bool:
        """Stop the broker (SIGTERM, after 20 s SIGKILL); return False where none was running."""
        stopped = self._signal(signal.SIGTERM, STOP_TIMEOUT_S)
        if stopped is False:
            self._signal(signal.SIGKILL, STOP_TIMEOUT_S)
        with contextlib.suppress(OSError):  # a stale one ends nobody
            self._pid_file.unlink()
        return stopped is not None

    def kill(self) -> None:
        """End the broker as a crash would: SIGKILL, nothing is flushed."""
        self._signal(signal.SIGKILL, STOP_TIMEOUT_S)
        self._pid_file.unlink(missing_ok=True)

    def answers(self, timeout_s: float = 5.0) -> bool:
        """Say whether the broker answers a request for metadata."""
        from jobs.kafka_client import Admin

        with contextlib.suppress(HeadwaterError):
            return bool(Admin(self.bootstrap, timeout_s=timeout_s).metadata().brokers)
        return False

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "broker.pid"

    def _recorded(self) -> tuple[int, int] | None:
        try:
            recorded = json.loads(self._pid_file.read_text(encoding="utf-8"))
            return int(recorded["pid"]), int(recorded["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _settings(self) -> str:
        controller = free_port()  # its own clients find it through this file, so it may differ at each start
        addresses = {
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "log.dirs": str(self.folder / "data").replace("\\", "\\\\"),
        }
        fixed = (_HERE / "broker.properties").read_text(encoding="utf-8")
        return "\n".join([fixed, *(f"{key}={value}" for key, value in addresses.items())]) + "\n"

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._properties.write_text(self._settings(), encoding="utf-8")
            (self.folder / "console.log").touch()
        except OSError as error:
            raise HeadwaterError(
                f"cannot keep a broker in {self.folder}: {error.strerror}; expected a folder to write in; "
                "give another --dir, or set HEADWATER_CACHE to a folder of yours"
            ) from None

    def _command(self, java: str) -> list[str]:
        return [
            java,
            f"-Xmx{HEAP}",
            "-XX:+UseSerialGC",  # a heap this small on shared cores: fewer threads, less memory
            "-XX:TieredStopAtLevel=1",  # starts in half the time; ample for one machine's load
            f"-Dlog4j2.configurationFile={(_HERE / 'broker-log4j2.properties').as_uri()}",
            f"-Dheadwater.broker.log={self.log}",
            "-cp",
            os.pathsep.join(map(str, broker_classpath())),
        ]

    def _format(self, command: list[str], environment: dict[str, str]) -> None:
        """On first use, give the data folder a random cluster id and the newest features (transaction.version 2)."""
        if (self.folder / "data" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        arguments = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster,
            "-c",
            str(self._properties),
            "--ignore-formatted",
        ]
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
            raise HeadwaterError(
                f"cannot format the broker's storage in {self.folder / 'data'} (exit {done.returncode}):\n{tail}\n"
                "expected an empty or formatted folder; delete it, or give another --dir"
            )

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.pid() is None:
                raise HeadwaterError(f"the Kafka broker died while starting{self._end_of_log()}")
            if self.answers():
                return
            time.sleep(0.2)
        raise HeadwaterError(
            f"the Kafka broker did not answer at {self.bootstrap} within {timeout_s:g} s{self._end_of_log()}"
        )

    def _end_of_log(self) -> str:
        lines = []
        for path in (self.log, self.folder / "console.log"):
            with contextlib.suppress(OSError):
                written = path.read_text(encoding="utf-8", errors="replace").splitlines()
                told = [line for line in written if not line.startswith("\tat ")]  # the reasons, not the stack
                lines += told[-TAIL_LINES:]
        return f"; the end of its log in {self.folder}:\n" + "\n".join(lines)

    def _signal(self, number: int, timeout_s: float) -> bool | None:
        """Signal the broker and wait; None: it was not running; False: it still is."""
        pid = self.pid()
        if pid is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + timeout_s
        while self.pid() == pid:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def steady_port() -> int:
    """Return a port of 127.0.0.1 that is free and stays so: one below those that the system itself gives to clients.

    For what listens a while from now, or again after it ended; a port of `free_port` may by then be any connection's.
    """
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        lowest = 32_768  # Linux's default; other systems begin at 49,152
    for _ in range(100):
        port = 10_000 + secrets.randbelow(max(1, lowest - 10_000))
        with contextlib.suppress(HeadwaterError):
            require_free(port)
            return port
    return free_port()  # the range is the user's, and leaves no room


def require_free(port: int) -> None:
    """Raise HeadwaterError when a port of 127.0.0.1 cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: a port in TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise HeadwaterError(
                f"port {port} of {HOST} cannot be used ({getattr(error, 'strerror', None) or error}); "
                "expected a free port; stop what listens there, or give another one with --port"
            ) from None


def _runs_from(pid: int, properties: Path) -> bool:
    """Say whether process `pid` is a broker started with this file: a pid alone may have passed to a stranger."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
        return str(properties) in shown.stdout and "kafka.Kafka" in shown.stdout
    except OSError:
        return False
    return "kafka.Kafka" in command and str(properties) in command


def default_folder(port: int) -> Path:
    """Return where the broker of a port lives when no --dir is given: the same from every working directory."""
    return cache_dir().parent / f"kafka-{port}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `headwater kafka`."""
    parser.add_argument("action", choices=("up", "down", "status"), help="start, stop, or show the broker")
    parser.add_argument("--port", type=int, default=PORT, help=f"of {HOST} (default: {PORT})")
    parser.add_argument("--dir", type=Path, help="data, log and pid file (default: in the cache folder, by port)")


def main(args: argparse.Namespace) -> int:
    """Start, stop or show the broker; `status` returns 1 when it is not running."""
    broker = Broker(args.dir or default_folder(args.port), args.port)
    return {"up": _up, "down": _down, "status": _status}[args.action](broker)


def _up(broker: Broker) -> int:
    started = broker.start()
    state = "is up" if started else "was already running"
    print(f"Kafka {_version()} {state} at {broker.bootstrap} (pid {broker.pid()}, folder {broker.folder})")
    return 0


def _down(broker: Broker) -> int:
    print(
        f"Kafka at {broker.bootstrap} {'is stopped' if broker.stop() else 'was not running'} (folder {broker.folder})"
    )
    return 0


def _status(broker: Broker) -> int:
    if (port := broker.running_port()) is None:
        print(f"Kafka at {broker.bootstrap} is not running (folder {broker.folder})")
        return 1
    broker.port = port
    answers = broker.answers()
    state = "is up" if answers else "is running but does not answer"
    print(f"Kafka {_version()} {state} at {broker.bootstrap} (pid {broker.pid()}, folder {broker.folder})")
    return 0 if answers else 1


def _version() -> str:
    from jobs.jars import lock

    kafka = re.search(r":([^:]+)$", lock()["broker"][0].coordinates)
    return kafka[1] if kafka else ""
