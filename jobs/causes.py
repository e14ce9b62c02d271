"""Why a Flink job failed, in one line: out of an exception of the JVM, or out of the logs of a JVM that is gone."""

import re
from pathlib import Path
from typing import Any

_TRACEBACK = "Traceback (most recent call last):"
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(?::|$)")  # of a Python traceback: not indented, a class and a text
_LOGGED_ERROR = re.compile(r"^[A-Za-z_][\w.]*(?::.*)?$", re.MULTILINE)
_NEXT = re.compile(r"\n(?:\s|\d{4}-\d\d-\d\d |Caused by: |$)")  # what follows an error's text in a log


def root_cause(exception: Any) -> str:
    """Return the deepest cause of a Java exception in one line; of a Python traceback inside it, its error."""
    told = ""
    while exception is not None:
        name, text = str(exception.getClass().getSimpleName()), exception.getMessage()
        told = f"{name}: {text}" if text else told or name
        exception = exception.getCause()
    return one_line(told)


def one_line(told: str) -> str:
    """Return the error in the text of an exception: without a traceback, Java's wrapping and line ends."""
    if _TRACEBACK in told:
        lines = told.rpartition(_TRACEBACK)[2].splitlines()
        starts = [number for number, line in enumerate(lines) if _ERROR_LINE.match(line)]
        if starts:
            told = " ".join(lines[starts[0] :])
    told = re.sub(r"^PythonException: <class '([\w.]+)'>", r"\1", told)
    return " ".join(told.split())


def last_python_error(logs: Path) -> str:
    """Return the error of the last Python traceback in a folder of logs, "" when there is none.

    A worker that has lost its JVM fails in gRPC, which is a consequence and told only where nothing else is.
    """
    files = sorted((file for file in logs.iterdir() if file.is_file()), key=lambda file: file.stat().st_mtime_ns)
    found = [error for file in files for error in _errors(file.read_text(encoding="utf-8", errors="replace"))]
    ours = [error for error in found if not error.startswith("grpc.")]
    return (ours or found or [""])[-1]


def _errors(log: str) -> list[str]:
    """Return the error of each traceback in a log."""
    found = []
    for traceback in log.split(_TRACEBACK)[1:]:
        if error := _LOGGED_ERROR.search(traceback):
            found.append(one_line(_NEXT.split(traceback[error.start() :])[0]))
    return found
