"""Checks of the machine: Python, Java, Flink, jars, disk, memory, the port of the development broker."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from jobs import jars
from jobs.broker import HOST, PORT, Broker, default_folder, require_free
from jobs.checks import Finding, Findings, judge
from jobs.java import BROKER_OLDEST, find_java
from jobs.platform import thread_mode_possible
from state.errors import HeadwaterError

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 12)
FLINK = "2.3.0"
GB = 1e9
# A replay of the example logs: under 3 GB of memory in all; its outputs, state and temporary files: under 1 GB.
MEMORY_NEEDED, MEMORY_WANTED = 2 * GB, 4 * GB
DISK_NEEDED, DISK_WANTED = 1 * GB, 5 * GB


def check_python() -> Findings:
    """Python is one that apache-flink has wheels for."""
    version = sys.version_info[:2]
    seen = f"{sys.version.split()[0]} at {sys.executable}"
    if OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        yield Finding("ok", "python", seen)
    else:
        yield Finding(
            "fail", "python", f"{seen}; expected 3.10, 3.11 or 3.12", "make the environment anew with one of these"
        )


def check_java() -> Findings:
    """Java starts, and one that the broker can use too."""
    java = find_java()
    yield Finding("ok", "java", f"{java.version} at {java.home} (from {java.source})")
    if java.version < BROKER_OLDEST:
        broker = find_java(BROKER_OLDEST)
        yield Finding("ok", "java for the broker", f"{broker.version} at {broker.home} (from {broker.source})")


def check_flink() -> Findings:
    """The apache-flink package is the version we run on, with its jars."""
    try:
        version = importlib.metadata.version("apache-flink")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    spec = importlib.util.find_spec("pyflink")
    home = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    needed = [home / "lib" / f"flink-dist-{FLINK}.jar", home / "opt" / f"flink-python-{FLINK}.jar"]
    missing = [path.name for path in needed if not path.is_file()]
    if version != FLINK or missing:
        lacks = f" without {', '.join(missing)}" if missing else ""
        yield Finding(
            "fail",
            "flink",
            f"apache-flink {version}{lacks}; expected {FLINK} with its jars",
            f"run: {sys.executable} -m pip install --force-reinstall apache-flink=={FLINK}",
        )
    else:
        yield Finding("ok", "flink", f"apache-flink {version} at {home}")
    reason = thread_mode_possible()
    if reason:
        yield Finding("warn", "thread mode", reason, "jobs run in process mode, which is slower")
    else:
        yield Finding("ok", "thread mode", "possible")


def check_jars() -> Findings:
    """Each jar that we load is in the cache and the pinned one; nothing is fetched here."""
    for group in jars.lock():
        absent = jars.missing(group)
        name = f"jars of the {group}"
        if absent:
            yield Finding(
                "warn",
                name,
                f"{len(absent)} of {len(jars.lock()[group])} are not in {jars.cache_dir()}",
                "they are fetched on first use; fetch them now: python -m jobs.jars",
            )
        else:
            yield Finding("ok", name, f"{len(jars.fetch(group))} verified in {jars.cache_dir()}")


def check_cache() -> Findings:
    """Jars, vectors and the development broker can be kept where they are."""
    folder = jars.cache_dir().parent
    there = _existing(folder)
    try:
        with tempfile.TemporaryDirectory(dir=there):  # tried, because rights alone do not tell it
            pass
    except OSError as error:
        yield Finding(
            "fail",
            "cache",
            f"{folder} cannot be written in ({there}: {error.strerror}); expected a folder for jars and vectors",
            "set HEADWATER_CACHE to a folder of yours",
        )
    else:
        yield Finding("ok", "cache", f"{folder}{'' if there == folder else ', made when it is needed'}")


def check_disk() -> Findings:
    """There is room where outputs, temporary files and jars go."""
    seen = set()
    for folder in (Path.cwd(), Path(tempfile.gettempdir()), _existing(jars.cache_dir())):
        device = folder.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(folder).free
        yield judge(
            "disk",
            free,
            warn_below=DISK_WANTED,
            fail_below=DISK_NEEDED,
            seen=f"{free / GB:.1f} GB free at {folder}",
            remedy=f"make room: a replay needs {DISK_NEEDED / GB:.0f} GB, a live job's state more",
        )


def check_memory() -> Findings:
    """There is memory for the JVM and Python together."""
    available = memory_available_bytes()
    if available is None:
        yield Finding("warn", "memory", "cannot be told on this system", f"have {MEMORY_WANTED / GB:.0f} GB free")
        return
    yield judge(
        "memory",
        available,
        warn_below=MEMORY_WANTED,
        fail_below=MEMORY_NEEDED,
        seen=f"{available / GB:.1f} GB available",
        remedy=f"end other programs, or raise the container's limit: a replay takes up to {MEMORY_WANTED / GB:.0f} GB",
    )


def check_broker_port() -> Findings:
    """The port of `headwater kafka up` is free, or held by that broker."""
    broker = Broker(default_folder(PORT), PORT)
    if broker.pid():
        yield Finding("ok", "port", f"{PORT} of {HOST} is held by `headwater kafka up` (pid {broker.pid()})")
        return
    try:
        require_free(PORT)
    except HeadwaterError:
        yield Finding(
            "warn",
            "port",
            f"{PORT} of {HOST} is held by another program",
            "fine if that is your broker; else `headwater kafka up` needs --port",
        )
    else:
        yield Finding("ok", "port", f"{PORT} of {HOST} is free for `headwater kafka up`")


def memory_available_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory that programs may still take, the container's limit included; None: not told here."""
    amounts = []
    try:
        fields = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines() if ":" in line)
        amounts.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            amounts.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        limit = int((cgroup / "memory.max").read_text())  # "max": no limit
        amounts.append(limit - int((cgroup / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return min(amounts) if amounts else None


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    return folder if folder.exists() else _existing(folder.parent)


MACHINE_CHECKS = (
    check_python, check_java, check_flink, check_cache, check_jars, check_disk, check_memory, check_broker_port,
)  # fmt: skip
