"""A real Flink session cluster on this machine, out of the package apache-flink, bound to 127.0.0.1."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from jobs.broker import HOST, require_free, steady_port
from jobs.flink_conf import FLINK_CONF, write_configuration
from jobs.flink_home import flink_home, link_jars
from jobs.flink_rest import FlinkRest
from jobs.jars import cache_dir
from jobs.supervisor import Member, Running, Supervisor, end_group
from state.errors import HeadwaterError

PORT = 8081  # of REST and the page; Flink's own
TASK_MANAGERS = 2  # one slot each: a job of parallelism 1 has a standby, one of 2 has room
ENVIRONMENT = "local"
START_TIMEOUT_S = 120.0  # 8 s on an idle machine
STOP_TIMEOUT_S = 30.0
TAIL_LINES = 15  # of a log, shown when a process dies at its start
LONGEST_TEMPORARY = 40  # characters
JOB_MANAGER, ZOOKEEPER = "job-manager", "zookeeper"


class Shape(NamedTuple):
    """What a cluster consists of; fixed from its start to its end."""

    port: int = PORT
    task_managers: int = TASK_MANAGERS
    ha: bool = False  # a job manager that ended goes on with its jobs: a ZooKeeper keeps what it needs
    metrics: bool = False  # Prometheus ports; they listen on all addresses, for which Flink has no setting
    environment: str = ENVIRONMENT
    conf: str = str(FLINK_CONF)


class Cluster:
    """One cluster with its configuration, logs, checkpoints and record in one folder.

    A supervisor of its own keeps the processes running and is what `stop` ends. As a context manager the cluster is
    started on entry and stopped on exit. One that another process started from the same folder is the same cluster.
    """

    def __init__(self, folder: Path, shape: Shape | None = None) -> None:
        """Name the folder and the shape; nothing is touched before `start`."""
        self.folder = folder.expanduser().resolve()
        self.shape = shape or Shape()
        self._process: subprocess.Popen[bytes] | None = None  # the supervisor, only where we started it ourselves

    @property
    def target(self) -> str:
        """What `headwater submit --target` and a browser need."""
        return f"http://{HOST}:{self.shape.port}"

    @property
    def logs(self) -> Path:
        """The logs of all processes."""
        return self.folder / "logs"

    @property
    def checkpoints(self) -> Path:
        """Where jobs keep their checkpoints that name no place themselves."""
        return self.folder / "checkpoints"

    def pid(self) -> int | None:
        """Return the process id of the running supervisor, or None."""
        pid = self._record().get("supervisor", 0)
        return pid if pid and _is_of(pid, self.folder) else None

    def members(self) -> dict[str, Running]:
        """Return name -> process of the cluster's members; pid 0: it waits to be started again."""
        return {name: Running(*each) for name, each in self._record().get("members", {}).items()}

    def metrics_ports(self) -> dict[str, int]:
        """Return member -> port of its metrics for Prometheus; empty where the cluster has none."""
        return dict(self._record().get("metrics", {}))

    def running_shape(self) -> Shape | None:
        """Return the shape of the running cluster of this folder, None when it is not running."""
        return Shape(**self._record()["shape"]) if self.pid() else None

    def remains(self) -> list[int]:
        """Return the process groups of members that a supervisor left which was itself killed."""
        if self.pid() is not None:
            return []
        return [member.pid for member in self.members().values() if _is_group_of(member.pid, self.folder)]

    def start(self, timeout_s: float = START_TIMEOUT_S) -> bool:
        """Start the cluster and wait until all task managers are in it; return False where it was running already.

        Raises:
            HeadwaterError: a port is taken, there is no Java, or a process does not start.
        """
        from jobs.java import find_java

        if running := self.running_shape():
            if running != self.shape:
                raise HeadwaterError(
                    f"the cluster in {self.folder} is running with {_shown(running)}; asked for {_shown(self.shape)}; "
                    "stop it first with `headwater cluster down`, or give another --dir"
                )
            self._wait(timeout_s)
            return False
        require_free(self.shape.port)
        find_java()
        self._end_remains()
        self._make_folder()
        self._launch()
        try:
            self._wait(timeout_s)
        except BaseException:
            self.stop()
            raise
        return True

    def stop(self) -> bool:
        """End the cluster and all it started; return False where none was running."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while _is_of(pid, self.folder) and time.monotonic() < deadline:
                time.sleep(0.05)
            if _is_of(pid, self.folder):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        remains = self._end_remains()
        with contextlib.suppress(OSError):
            self._file.unlink()
        return pid is not None or remains

    def supervise(self) -> None:
        """Run the cluster in this process until SIGTERM or SIGINT."""
        stop = threading.Event()

        def told(number: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, told)
        ports = self._ports()
        self._configure(ports)
        metrics = {name: ports[name] for name in self._flink_names()} if self.shape.metrics else {}
        temporary = _make_temporary()
        record = {
            "supervisor": os.getpid(),
            "shape": self.shape._asdict(),
            "metrics": metrics,
            "temporary": str(temporary),
            "members": {},
        }
        self._write(record)
        members = [self._member(name, temporary / name, metrics.get(name)) for name in self._names()]

        def write(state: dict[str, Running]) -> None:
            self._write({**record, "members": state})

        Supervisor(members, self._environment(), self.folder / "work", write).run(stop)
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._file.unlink()

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _file(self) -> Path:
        return self.folder / "cluster.json"

    def _record(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, record: Mapping[str, Any]) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        os.replace(temporary, self._file)

    def _names(self) -> list[str]:
        return [*([ZOOKEEPER] if self.shape.ha else []), *self._flink_names()]

    def _flink_names(self) -> list[str]:
        return [JOB_MANAGER, *(f"task-manager-{number + 1}" for number in range(self.shape.task_managers))]

    def _ports(self) -> dict[str, int]:
        """Choose what must stay the same when a member is started again."""
        return {name: steady_port() for name in ("rpc", ZOOKEEPER, *self._flink_names())}

    def _make_folder(self) -> None:
        try:
            for folder in (self.folder, self.folder / "work", self.logs, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
            for file in self.logs.iterdir():  # of the last start; a cluster that runs keeps ten of 50 MB by itself
                file.unlink()
        except OSError as error:
            raise HeadwaterError(
                f"cannot keep a cluster in {self.folder}: {error.strerror}; expected a folder to write in; "
                "give another --dir, or set HEADWATER_CACHE to a folder of yours"
            ) from None

    def _launch(self) -> None:
        """Start the supervisor, which outlives us."""
        from jobs.children import environment, headwater

        command = headwater("cluster", "up", "--foreground", *_arguments(self.folder, self.shape))
        with (self.logs / "supervisor.log").open("ab") as log:
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,  # Ctrl-C here does not reach it
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._record().get("supervisor") != process.pid:
            if process.poll() is not None or time.monotonic() > deadline:
                raise HeadwaterError(f"the cluster's supervisor does not start{self._end_of_logs('supervisor')}")
            time.sleep(0.05)

    def _configure(self, ports: Mapping[str, int]) -> None:
        """Write the folder's configuration, and the links to Flink's jars with the one for Python among them."""
        given = {
            "rest.port": str(self.shape.port),
            "jobmanager.rpc.port": str(ports["rpc"]),
            "execution.checkpointing.dir": self.checkpoints.as_uri(),
            "execution.checkpointing.savepoint-dir": (self.folder / "savepoints").as_uri(),
            "metrics.reporters": "prometheus" if self.shape.metrics else "none",
        }
        if self.shape.ha:
            given |= {
                "high-availability.type": "zookeeper",
                "high-availability.zookeeper.quorum": f"{HOST}:{ports[ZOOKEEPER]}",
                "high-availability.storageDir": (self.folder / "ha").as_uri(),
                "high-availability.cluster-id": "/headwater",
            }
            _write_zookeeper(self.folder, ports[ZOOKEEPER])
        write_configuration(self.folder / "conf", self.shape.environment, given, Path(self.shape.conf))
        link_jars(self.folder / "lib")

    def _member(self, name: str, temporary: Path, metrics_port: int | None) -> Member:
        console = self.logs / f"{name}.out"
        if name == ZOOKEEPER:
            server = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.quorum.QuorumPeerMain"
            settings = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
            classes = ["-cp", str(self.folder / "lib" / "*"), server, str(self.folder / "zookeeper.cfg")]
            return Member(name, ["java", *settings, *classes], console, temporary)
        script = "jobmanager.sh" if name == JOB_MANAGER else "taskmanager.sh"
        given = {
            "io.tmp.dirs": str(temporary),
            "state.backend.rocksdb.localdir": str(temporary),  # see _make_temporary
            "state.backend.rocksdb.log.dir": str(temporary),  # a file for each operator of each life of a job
            "env.pid.dir": str(self.folder / "pids"),  # it also tells our processes from others of the same number
        }
        if metrics_port is not None:
            given["metrics.reporter.prometheus.port"] = str(metrics_port)
        dynamic = [word for key, value in given.items() for word in ("-D", f"{key}={value}")]
        start = ["env", f"FLINK_IDENT_STRING={name}", str(flink_home() / "bin" / script), "start-foreground"]
        return Member(name, [*start, *dynamic], console, temporary)

    def _environment(self) -> dict[str, str]:
        """Return the environment of all members; without PYTHONPATH, because a job brings its code."""
        from jobs.cli import ONE_THREAD
        from jobs.java import child_environment

        inherited = {key: value for key, value in child_environment().items() if key != "PYTHONPATH"}
        return {
            **inherited,
            **dict.fromkeys(ONE_THREAD, "1"),  # two task managers on two cores; products round by the number of threads
            "MALLOC_ARENA_MAX": "2",  # glibc keeps 64 MB for each thread that ever allocated
            "FLINK_HOME": str(flink_home()),
            "FLINK_CONF_DIR": str(self.folder / "conf"),
            "FLINK_LOG_DIR": str(self.logs),
            "FLINK_PID_DIR": str(self.folder / "pids"),
            "FLINK_LIB_DIR": str(self.folder / "lib"),
            "STD_REDIRECT_TO_FILE": "true",  # Flink's log to a file that is rolled over; what Python prints beside it
            "NUMBA_CACHE_DIR": str(_kernels()),
        }

    def _wait(self, timeout_s: float) -> None:
        rest = FlinkRest(self.target, timeout_s=2)
        deadline = time.monotonic() + timeout_s
        there = 0
        while time.monotonic() < deadline:
            if self.pid() is None:
                raise HeadwaterError(f"the cluster's supervisor ended{self._end_of_logs('supervisor')}")
            if dying := [name for name, member in self.members().items() if member.starts > 2]:
                raise HeadwaterError(f"{dying[0]} does not start{self._end_of_logs(dying[0])}")
            with contextlib.suppress(HeadwaterError):
                there = rest.overview()["taskmanagers"]
                if there >= self.shape.task_managers:
                    return
            time.sleep(0.2)
        raise HeadwaterError(
            f"Flink at {self.target} has {there} of {self.shape.task_managers} task managers after {timeout_s:g} s"
            + self._end_of_logs(JOB_MANAGER)
        )

    def _end_of_logs(self, name: str) -> str:
        lines: list[str] = []
        for file in sorted(self.logs.glob(f"*{name}*")):
            written = file.read_text(encoding="utf-8", errors="replace").splitlines()
            lines += [line for line in written if not line.startswith("\tat ")][-TAIL_LINES:]
        return f"; the end of its log in {self.logs}:\n" + "\n".join(lines)

    def _end_remains(self) -> bool:
        """End the members that a supervisor left which was itself killed; tell whether there were any."""
        remains = self.remains()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in remains:
                end_group(pid, number)
            deadline = time.monotonic() + STOP_TIMEOUT_S / 3
            while any(_is_group_of(pid, self.folder) for pid in remains) and time.monotonic() < deadline:
                time.sleep(0.05)
        if temporary := self._record().get("temporary"):
            shutil.rmtree(temporary, ignore_errors=True)
        return bool(remains)


def _kernels() -> Path:
    """Return where compiled kernels are kept: the folder of a job's code goes with the job.

    Beside our own code, as where it runs without a cluster, so that they are compiled once for both.
    """
    ours = Path(__file__).parents[1] / "online" / "__pycache__"
    return ours if os.access(ours, os.W_OK) else cache_dir().parent / "kernels"


def _make_temporary() -> Path:
    """Return a new folder for what need not outlive the cluster, with a short name.

    RocksDB names its log by the whole path of its data, and 190 of the 255 bytes of a name are Flink's: where the path
    is too long, a restore that has to merge states (after rescaling) fails for ever.
    """
    folder = Path(tempfile.mkdtemp(prefix="hw-"))
    if len(str(folder)) > LONGEST_TEMPORARY:
        folder.rmdir()
        raise HeadwaterError(
            f"the folder for temporary files {folder.parent} has a name of {len(str(folder.parent))} characters; "
            f"expected at most {LONGEST_TEMPORARY - 12}, which RocksDB needs; set TMPDIR to a shorter one"
        )
    return folder


def _write_zookeeper(folder: Path, port: int) -> None:
    settings = {
        "dataDir": folder / "zookeeper",
        "clientPort": port,
        "clientPortAddress": HOST,
        "tickTime": 500,  # ms; a session may be as short as two of them
        "admin.enableServer": "false",
    }
    text = "".join(f"{key}={value}\n" for key, value in settings.items())
    (folder / "zookeeper.cfg").write_text(text, encoding="utf-8")


def _is_of(pid: int, folder: Path) -> bool:
    """Say whether process `pid` was started for a cluster in `folder`: a number alone may have passed to a stranger."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
        command = shown.stdout
    except OSError:
        return False
    return any(word.endswith(str(folder)) or f"{folder}/" in word for word in command.replace(" ", "\0").split("\0"))


def _is_group_of(pid: int, folder: Path) -> bool:
    """Say whether the group that a member of ours began still has processes; its number stays taken until then."""
    if not pid:
        return False
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return _is_of(pid, folder)


def _arguments(folder: Path, shape: Shape) -> list[str]:
    """Return the command line of `headwater cluster up` for a cluster."""
    flags = [flag for flag, given in (("--ha", shape.ha), ("--metrics", shape.metrics)) if given]
    numbers = ["--port", str(shape.port), "--task-managers", str(shape.task_managers)]
    return ["--dir", str(folder), *numbers, *flags, "--environment", shape.environment, "--conf", shape.conf]


def _shown(shape: Shape) -> str:
    return " ".join(_arguments(Path("."), shape)[2:])
