"""When: configuration, sources, sinks, operators and the commands that run them."""

import builtins
import importlib
from typing import Any

_replaced: Any = getattr(builtins.print, "__self__", None)
if hasattr(_replaced, "_print"):
    # A worker of process mode: PyFlink has put a method of its own in the place of `print`, and numba, which registers
    # functions by their module's name, cannot be imported then. Let it see the real one; afterwards it does not care.
    _worker_print = builtins.print
    builtins.print = _replaced._print
    try:
        importlib.import_module("numba")
    finally:
        builtins.print = _worker_print
