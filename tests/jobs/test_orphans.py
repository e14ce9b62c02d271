"""What a killed run left is ended, and nothing else is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import orphans

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]


@pytest.fixture(autouse=True)
def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is of no run, before and after."""
    monkeypatch.setenv(orphans._MARK, "")


@pytest.fixture
def left(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a run of tmp_path/a started."""
    environment = {**os.environ, orphans._MARK: str(tmp_path / "a")}
    with subprocess.Popen(SLEEP, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has its environment
        yield process
        process.kill()


def test_an_orphan_is_ended(tmp_path: Path, left: subprocess.Popen[bytes]) -> None:
    """The next run of the folder ends it; that run's own children, which are marked too, live on."""
    reaper = [sys.executable, "-c", _REAP, str(tmp_path / "a")]
    assert subprocess.run(reaper, capture_output=True, text=True, check=True).stdout == "1\n0\n0\nalive\n"
    assert left.wait(5) == -9


_REAP = """
import subprocess, sys
from pathlib import Path
from jobs import orphans
folder = Path(sys.argv[1])
# A zombie of another parent keeps no environment, so it is not counted a second time.
print(orphans.take_over(folder))
print(orphans.end_all(folder))
child = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1)
child.stdout.readline()
print(orphans.end_all(folder))
print("alive" if child.poll() is None else "ended")
child.kill()
"""


def test_others_are_left_alone(tmp_path: Path, left: subprocess.Popen[bytes]) -> None:
    """A folder whose name begins alike is another run."""
    for folder in (tmp_path, tmp_path / "a" / "b", tmp_path / "b"):
        assert orphans.end_all(folder) == 0
    assert left.poll() is None


def test_a_process_does_not_end_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, marked or not, goes on."""
    monkeypatch.setenv(orphans._MARK, str(tmp_path))
    orphans.end_ours()
