"""Laws of what a job brings to a cluster: it runs from there alone, and a worker with other code refuses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.package import CODE_ID, pack, require_code, shipped
from state.errors import HeadwaterError

SEES = """
import sys
sys.path = [path for path in sys.path if path]
import jobs.operators, jobs.package, jobs.jars
from pathlib import Path
print(Path(jobs.package.__file__).parents[1], jobs.package.CODE_ID, jobs.package.shipped(Path(sys.argv[1])))
jobs.jars.lock()
"""


def test_a_package_stands_alone(tmp_path: Path) -> None:
    """A worker imports the operators from it, knows them as the same code, and finds the catalogue in it."""
    vectors = tmp_path / "any.safetensors"
    vectors.write_bytes(b"vectors")
    package = tmp_path / "package"

    name = pack(package, vectors)

    done = subprocess.run(
        [sys.executable, "-c", SEES, str(name)],
        env={**os.environ, "PYTHONPATH": str(package)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [str(package), CODE_ID, str(package / name)], done.stderr


def test_the_newest_package_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flink unpacks it anew for each life of a job, and removes the one before."""
    for life in ("first", "second"):
        (tmp_path / life).mkdir()
        (tmp_path / life / "vectors").touch()
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / life)])

    assert shipped(Path("vectors")) == tmp_path / "second" / "vectors"
    (tmp_path / "second" / "vectors").unlink()
    assert shipped(Path("vectors")) == tmp_path / "first" / "vectors"
    assert shipped(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    (tmp_path / "first" / "vectors").unlink()
    with pytest.raises(HeadwaterError, match="the job's package with vectors is not on this worker's import path"):
        shipped(Path("vectors"))


def test_other_code_is_refused() -> None:
    """In thread mode a task manager keeps what an earlier job imported; a job of another version must not run on it."""
    require_code(CODE_ID)
    with pytest.raises(HeadwaterError, match=f"runs Headwater's code {CODE_ID}.*start the task managers again"):
        require_code("another")
