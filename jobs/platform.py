"""Says whether this machine can run Flink's thread mode, where Python runs inside the JVM (pemja)."""

import importlib
import importlib.util
import platform
import sys


def thread_mode_possible() -> str | None:
    """Return None when thread mode can run here, else why not in one line."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return f"pemja has builds for Linux x86-64 only; this is {platform.system()} {platform.machine()}"
    if sys.implementation.name != "cpython":
        return f"pemja runs CPython only; this is {sys.implementation.name}"
    if importlib.util.find_spec("pemja") is None:
        return "the package pemja, which apache-flink brings, is not installed"
    try:
        importlib.import_module("pemja")
        find_libpython = importlib.import_module("find_libpython").find_libpython  # the very function pemja asks
    except (ImportError, OSError) as error:
        return f"pemja cannot be imported: {error}"
    if not find_libpython():
        return (
            "this Python has no shared libpython, which pemja loads; use one that has "
            "(Debian: apt-get install libpython3-dev; pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
        )
    return None
