"""Starts Flink inside this process: one JVM, quiet and bounded in memory; a job that fails says why in one line."""

import atexit
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from jobs.causes import last_python_error, one_line, root_cause
from jobs.children import import_path
from jobs.config import Config
from jobs.java import use_java
from jobs.orphans import end_ours
from state.errors import HeadwaterError

# MB. A million events in ticks of an hour, RocksDB and checkpoints each second: 0.8 GB resident with this heap, as
# with a larger one. The serial collector, because the others keep 0.3 GB more and two cores gain nothing from them.
JVM_ARGUMENTS = "-Xmx640m -XX:+UseSerialGC"
# The first compiler only: half the JVM's CPU of a short run, which is mostly start-up and planning. Not live, where the
# second compiler pays: the JVM's part of a long run takes twice as long without it.
REPLAY_ARGUMENTS = "-XX:TieredStopAtLevel=1"
MANAGED_MB, NETWORK_MB = 160, 32  # per slot: RocksDB and window buffers; network buffers (64 in all at least)

MAX_PARALLELISM = 1024  # key groups; fixed, because a savepoint can only be restored with the same number
RESTARTS, RESTART_DELAY_MS = 3, 500  # of a live job inside this process; Flink's default is for ever, without a word
CHECKPOINT_TIMEOUT_MS = 600_000
CACHED_STATES = 1_000_000  # entries; in process mode each miss is a round trip of 1 ms to the JVM
BUNDLE_MS, BUNDLE_RECORDS = 20, 5000  # process mode: how long an operator's output waits, at most

LOGS, CHECKPOINTS = "logs", "checkpoints"
STDERR = "python.err"  # what the JVM, and in thread mode our operators, write to standard error

_jvm: list["subprocess.Popen[bytes]"] = []  # the one that this process started
_homes: list[Path] = []  # its working directory
_logs: list[
    Path
] = []  # its folder of logs; not looked up in the environment, which PyFlink rewrites for workers inside us


class Flink(NamedTuple):
    """The two faces of one Flink."""

    env: Any  # StreamExecutionEnvironment
    tables: Any  # StreamTableEnvironment


def open_flink(config: Config, mode: str, work: Path, restore: Path | None = None) -> Flink:
    """Return a Flink that runs in this process.

    The JVM starts with the first call in a process and lives as long as it does; later calls share it.

    Args:
        config: of the job.
        mode: thread or process.
        work: folder for logs, and for checkpoints where `config` names none.
        restore: a checkpoint or savepoint to start from.
    """
    live = bool(config.events.topic)
    start_jvm(work / LOGS, live=live)
    from pyflink.datastream import StreamExecutionEnvironment

    folder = config.flink.checkpoints or work / CHECKPOINTS
    options = {
        **job_options(config, mode, folder, restore),
        **connector_options(config),
        "python.executable": sys.executable,
        **memory_options(config.flink.parallelism),
        **restart_options(live=live),
    }
    return flink_in(StreamExecutionEnvironment.get_execution_environment(as_configuration(options)), config)


def as_configuration(options: Mapping[str, str]) -> Any:
    """Return options as PyFlink takes them."""
    from pyflink.common import Configuration

    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    return configuration


def flink_in(env: Any, config: Config) -> Flink:
    """Return both faces of an environment, ready for the job."""
    from pyflink.table import StreamTableEnvironment

    env.set_parallelism(config.flink.parallelism)
    return Flink(env, StreamTableEnvironment.create(env))


class Job:
    """A running job."""

    def __init__(self, client: Any) -> None:
        """Follow the job of a JobClient."""
        self._client = client
        self._future = client.get_job_execution_result()

    @property
    def job_id(self) -> str:
        """Flink's name for it, 32 hexadecimal digits."""
        return str(self._client.get_job_id())

    def is_over(self) -> bool:
        """Tell whether the job has finished, failed or been cancelled.

        Raises:
            HeadwaterError: the JVM is gone, and the job with it.
        """
        try:
            return bool(self._future.done())
        except (_any_java_error(), OSError):
            raise jvm_is_gone() from None

    def wait(self) -> None:
        """Return when the job has finished.

        Raises:
            HeadwaterError: it failed, or the JVM is gone; the text is the root cause.
        """
        try:
            self._future.result()
        except _java_error() as error:
            raise failed("the Flink job failed", error) from None
        except (_any_java_error(), OSError):
            raise jvm_is_gone() from None

    def cancel(self) -> None:
        """End the job now; what it had not committed is not seen by readers."""
        try:
            self._client.cancel().result()
        except _java_error():
            if not self.is_over():
                raise

    def stop(self, savepoints: Path) -> Path:
        """End the job after its outputs are committed; return the savepoint, from which it can go on.

        Raises:
            HeadwaterError: there is no savepoint, because not all of the job runs; the text is the root cause.
        """
        from pyflink.java_gateway import get_gateway

        # PyFlink 2.3.0's own stop_with_savepoint calls a method that is not there.
        kinds = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType
        saved = self._client._j_job_client.stopWithSavepoint(False, savepoints.absolute().as_uri(), kinds.CANONICAL)
        try:
            return Path(re.sub(r"^file:/*", "/", str(saved.get())))
        except _java_error() as error:
            raise failed("no savepoint", error) from None


def start(flink: Flink, name: str) -> Job:
    """Start what was built on `flink` and return at once.

    Raises:
        HeadwaterError: it cannot be started; the text is the root cause.
    """
    try:
        return Job(flink.env.execute_async(name))
    except _java_error() as error:
        raise failed("the Flink job cannot start", error) from None


def _java_error() -> type[Exception]:
    """Return the type of what was thrown in the JVM."""
    from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # comes with apache-flink

    return Py4JJavaError  # type: ignore[no-any-return]


def _any_java_error() -> type[Exception]:
    """Return the type of that and of a JVM that does not answer."""
    from py4j.protocol import Py4JError

    return Py4JError  # type: ignore[no-any-return]


def failed(what: str, error: Any) -> HeadwaterError:
    """Return what to tell of an exception in the JVM: its root cause, and where the logs are."""
    return HeadwaterError(f"{what}: {root_cause(error.java_exception)}; {told_logs()}")


def told_logs() -> str:
    """Return where the logs of this process's JVM are, for an error's text."""
    return f"the logs are in {_logs[-1]}"


def restart_options(*, live: bool) -> dict[str, str]:
    """Return whether a failing job is tried again: live, where a broker may be back in a moment; a file stays as it is.

    Each try of a replay would tear down all operators once more, and in process mode Flink can close RocksDB while a
    worker still asks it for state, which ends the JVM.
    """
    if not live:
        return {"restart-strategy.type": "disable"}
    return {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": str(RESTARTS),
        "restart-strategy.fixed-delay.delay": f"{RESTART_DELAY_MS} ms",
    }


def memory_options(slots: int) -> dict[str, str]:
    """Return how much of this process's JVM a Flink inside it may take."""
    network = f"{max(64, NETWORK_MB * slots)}m"
    return {
        "taskmanager.memory.managed.size": f"{MANAGED_MB * slots}m",
        "taskmanager.memory.network.min": network,
        "taskmanager.memory.network.max": network,
    }


def job_options(
    config: Config, mode: str, checkpoints: Path | None = None, restore: Path | None = None
) -> dict[str, str]:
    """Return what a job decides itself, on whatever Flink it runs.

    Args:
        config: of the job.
        mode: thread or process.
        checkpoints: their folder; None: where Flink's own configuration says.
        restore: a checkpoint or savepoint to start from; None: that of Flink's own configuration, where it has one.
    """
    live = bool(config.events.topic)
    options = {
        "python.execution-mode": mode,
        "pipeline.max-parallelism": str(MAX_PARALLELISM),
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.interval": f"{config.flink.checkpoint_interval_ms} ms",
        "execution.checkpointing.timeout": f"{CHECKPOINT_TIMEOUT_MS} ms",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # Live, a list must not wait in a buffer; a replay gains from full ones.
        "execution.buffer-timeout.interval": "5 ms" if live else "100 ms",
        "pipeline.auto-watermark-interval": "20 ms" if live else "100 ms",
        "table.local-time-zone": "UTC",  # ticks are cut from the epoch
        "table.optimizer.agg-phase-strategy": "ONE_PHASE",  # one channel into each window: see jobs/sources.py
    }
    if mode == "process":
        options |= {
            "python.fn-execution.bundle.time": str(BUNDLE_MS),
            "python.fn-execution.bundle.size": str(BUNDLE_RECORDS),
            "python.state.cache-size": str(CACHED_STATES),
            "python.map-state.read-cache-size": str(CACHED_STATES),
            "python.map-state.write-cache-size": str(CACHED_STATES),
        }
    if checkpoints is not None:
        options["execution.checkpointing.dir"] = checkpoints.absolute().as_uri()
    if restore is not None:
        options["execution.state-recovery.path"] = restore.absolute().as_uri()
    return options


def connector_options(config: Config) -> dict[str, str]:
    """Return what brings the Kafka connector to a Flink that has none in its lib/, fetched and verified."""
    if not (config.events.topic or config.vectors.topic):
        return {}
    from jobs.jars import connector_jar

    return {"pipeline.jars": connector_jar().as_uri()}


def start_jvm(logs: Path, *, live: bool) -> None:
    """Start the JVM unless it runs; its settings can only come by environment variables."""
    from pyflink import java_gateway

    if java_gateway._gateway is not None:
        return
    use_java()
    logs.mkdir(parents=True, exist_ok=True)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # thread mode: our operators run inside the JVM
        os.environ[name] = "1"
    _logs.append(logs.absolute())
    _homes.append(_home(live=live))
    os.environ["FLINK_LOG_DIR"] = str(_logs[-1])
    os.environ["PYTHONPATH"] = import_path()
    os.environ.setdefault("ROOT_LOG_LEVEL", "WARN")
    os.environ.setdefault("JVM_ARGS", JVM_ARGUMENTS if live else f"{JVM_ARGUMENTS} {REPLAY_ARGUMENTS}")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # glibc keeps 64 MB for each thread that ever allocated
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_worth_telling)
    launch = java_gateway.launch_gateway_server_process

    def remember(*args: Any) -> Any:
        with _working_in(_homes[-1]):
            _jvm.append(launch(*args))
        return _jvm[-1]

    java_gateway.launch_gateway_server_process = remember
    try:
        java_gateway.get_gateway()
    except RuntimeError as error:
        raise HeadwaterError(f"the JVM does not start: {one_line(str(error))}; try headwater doctor") from None
    finally:
        java_gateway.launch_gateway_server_process = launch
    # PyFlink makes a pipe of the JVM's standard error and never reads it: when 64 KB lie in it, the job stands still.
    for child in _jvm:
        threading.Thread(target=_drain, args=(child, logs / STDERR), daemon=True).start()


def _home(*, live: bool) -> Path:
    """Return the JVM's working directory, without Python modules: workers and thread mode import from theirs.

    Of a replay it goes with this process, which may run several; a live job outlasts what a system leaves in /tmp.
    """
    if live:
        return _logs[-1]
    home = Path(tempfile.mkdtemp(prefix="headwater-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Let what is started now inherit a working directory."""
    here = os.open(".", os.O_RDONLY)  # not by its name: it may have been removed
    os.chdir(folder)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def jvm_is_gone() -> HeadwaterError:
    """Return what to tell when the JVM does not answer: how it ended, and the error of ours before that, if any."""
    logging.disable(logging.CRITICAL)  # py4j would log a traceback for each Java object that is forgotten from now on
    try:
        status = f"exit status {_jvm[-1].wait(5)}"  # it takes a while to give back its memory
    except (IndexError, subprocess.TimeoutExpired):
        status = "it does not answer"
    end_ours()  # its workers would live on for minutes
    if _homes != _logs:
        for report in _homes[-1].glob("hs_err*"):  # of a JVM that crashed; this folder goes with us
            shutil.copy(report, _logs[-1])
    cause = last_python_error(_logs[-1]) if _logs else ""
    why = f"; before that: {cause}" if cause else "; -9 is what a system does that is short of memory"
    return HeadwaterError(f"the JVM that ran the job is gone ({status}{why}); {told_logs()}; start it again")


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """py4j logs a traceback when the JVM is gone, which we tell in one line."""
    return not str(record.msg).startswith("Exception while sending command")


def _drain(child: subprocess.Popen[bytes], into: Path) -> None:
    """Copy until the child ends, which is after us; hence a bare descriptor, which nobody misses at the exit."""
    file = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for line in child.stderr or ():
        os.write(file, line)
