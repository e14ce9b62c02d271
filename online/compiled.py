"""How kernels are compiled: so that they cannot round in two ways, and never from the cache of another source."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import UserProvidedCacheLocator

_EXACT = {"nnan", "ninf", "nsz"}
"""Fast-math flags that change no bit of a finite sum or product. `fastmath=True` gave one kernel two results, freshly
compiled and loaded from numba's cache, because inlining changed how its sums were reassociated."""

# numba keys its cache by the kernel's own file; a kernel of another file that was inlined into it stays as it was.
_SOURCES = sorted(Path(__file__).parent.rglob("*.py"))
_DIGEST = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES)).hexdigest()[:16]
_FOLDER = Path(numba.config.CACHE_DIR or Path(__file__).parent / "__pycache__")  # NUMBA_CACHE_DIR wins
numba.config.CACHE_DIR = str(_FOLDER / _DIGEST)


class ByContent(UserProvidedCacheLocator):  # type: ignore[misc]  # numba ships no types
    """Finds a kernel's cache by what its file holds, not by where it lies.

    A cluster unpacks a job's code into another folder for each of its lives, and would compile for half a minute each
    time.
    """

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "ByContent | None":
        """Return the locator of a kernel of ours, None for any other."""
        ours = Path(__file__).parent in Path(py_file).parents
        return super().from_function(py_func, py_file) if ours else None

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """Return the folder below the cache's; numba adds a digest of the path."""
        return "-".join(Path(py_file).relative_to(Path(__file__).parents[1]).parent.parts)


_STANDARD = "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator"
numba.config.CACHE_LOCATOR_CLASSES = f"{ByContent.__module__}.{ByContent.__qualname__},{_STANDARD}"


compiled: Callable[[Callable[..., Any]], Any] = numba.njit(cache=True, fastmath=_EXACT)
"""Compile a kernel at its first call, or load it from the cache."""

compiled_long: Callable[[Callable[..., Any]], Any] = numba.njit(cache=True, fastmath=_EXACT, nogil=True)
"""The same for a kernel that runs for 50 us and more at each call: other Python threads run beside it. For a shorter
one, to get the interpreter back takes longer than the kernel."""
