"""Processes of our own run this very code, whatever folders named as ours lie where the user happens to be."""

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
# As `python -m jobs.cli`, but not from the working directory, which -m and -c put first (-P came with Python 3.11).
_MAIN = "import sys; sys.path = [path for path in sys.path if path]; from jobs.cli import main; sys.exit(main())"


def headwater(*arguments: str) -> list[str]:
    """Return the command line of `headwater`; to be run in `environment()`."""
    return [sys.executable, "-c", _MAIN, *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment with `import_path` in it."""
    return {**os.environ, "PYTHONPATH": import_path()}


def import_path(given: Mapping[str, str] | None = None, root: Path = ROOT) -> str:
    """Return the PYTHONPATH for processes of ours: the folder of this code, then what the user gave, made absolute.

    An installed package is found anyway; its folder must not come before the standard library.
    """
    given = os.environ if given is None else given
    paths = [str(Path(path).absolute()) for path in given.get("PYTHONPATH", "").split(os.pathsep) if path]
    installed = root in (Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib")))
    return os.pathsep.join(paths if installed or str(root) in paths[:1] else [str(root), *paths])
