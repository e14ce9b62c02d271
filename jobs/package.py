"""What a job brings to a cluster: our code and its initial catalogue, in one folder on the workers' import path."""

import hashlib
import shutil
import sys
from pathlib import Path

from state.errors import HeadwaterError

ROOT = Path(__file__).parents[1]
CODE = ("state", "online", "models", "jobs")
DATA = (".json", ".html", ".properties")  # that lie beside the code


def _files(root: Path) -> list[Path]:
    """Return the files of the code, relative to `root`, in one order everywhere."""
    suffixes = (".py", *DATA)
    found = [file for part in CODE for file in (root / part).rglob("*") if file.suffix in suffixes]
    return sorted(file.relative_to(root) for file in found if file.is_file())


def _digest() -> str:
    """Return what tells one state of the code from another."""
    digest = hashlib.sha256()
    for file in _files(ROOT):
        digest.update(f"{file.as_posix()}\0".encode() + (ROOT / file).read_bytes())
    return digest.hexdigest()[:16]


CODE_ID = _digest()
"""Of the code that this process runs. Taken at the import: on a task manager the folder goes with the job."""


def pack(folder: Path, vectors: Path) -> Path:
    """Fill `folder` with the code and the catalogue; return the name by which the operators find the catalogue."""
    for file in _files(ROOT):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    digest = hashlib.sha256(vectors.read_bytes()).hexdigest()[:16]
    name = Path(f"vectors-{digest}{vectors.suffix}")
    shutil.copyfile(vectors, folder / name)
    return name


def shipped(file: Path) -> Path:
    """Return where a file is on this machine: as it says, or, a bare name, in the package on the import path.

    Flink unpacks a package anew for each life of a job in a task manager, so the newest is the one that is there.
    """
    if file.is_absolute():
        return file
    for folder in reversed(sys.path):
        if (found := Path(folder, file)).is_file():
            return found
    raise HeadwaterError(f"the job's package with {file} is not on this worker's import path; submit the job again")


def require_code(code_id: str) -> None:
    """Hold that this worker runs the code that the job was made with.

    In thread mode a task manager has one Python for its whole life, and what it once imported stays.

    Raises:
        HeadwaterError: it runs other code.
    """
    if code_id != CODE_ID:
        raise HeadwaterError(
            f"this task manager runs Headwater's code {CODE_ID}, imported by an earlier job; the job was made with "
            f"{code_id}; in thread mode a task manager keeps what it imported: start the task managers again, then "
            "headwater resume"
        )
