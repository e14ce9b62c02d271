"""Our code runs, wherever the user is: a folder of theirs named as one of ours is never imported."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.children import environment, headwater, import_path
from tests.jobs.replay_logs import ROWS, Log, vectors_of, write_csv

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working directory whose packages end any process that imports them."""
    folder = tmp_path / "elsewhere"
    for name in ("jobs", "models", "online", "state", "numpy", "pyflink"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text('raise SystemExit("imported the user\'s " + __name__)\n')
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(write_csv(tmp_path / "log.csv", ROWS), vectors_of(ROWS, tmp_path))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `headwater` in a folder as its console script does: the working directory is not where it imports from."""
    return subprocess.run(
        headwater(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=300
    )


def test_the_replays_encoder(elsewhere: Path, log: Log) -> None:
    """The process that makes the vectors is ours: it gets as far as to miss the model."""
    (elsewhere / "items.csv").write_text("item,title\na,Heat\n")
    job = f'[events]\npath = "{log.events}"\n[items]\npath = "items.csv"\n[vectors]\nmodel = "./no-model"\n'
    (elsewhere / "job.toml").write_text(job)

    done = run(elsewhere, "replay", "--config", "job.toml", "--engine", "python", "--out", "out")

    assert done.returncode == 2
    assert "imported the user's" not in done.stderr
    assert "headwater encode: error: " in done.stderr


def test_the_plain_engine(elsewhere: Path, log: Log) -> None:
    """The main process does not look there either."""
    done = run(elsewhere, "replay", *log.arguments, "--engine", "python", "--out", "out")

    assert done.returncode == 0, done.stderr


@pytest.mark.flink
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_flinks_python(elsewhere: Path, log: Log, mode: str) -> None:
    """Flink's workers, and Python inside the JVM, import from where our code is; relative paths are the user's."""
    (elsewhere / "items.safetensors").write_bytes(log.vectors.read_bytes())
    job = f'[events]\npath = "{log.events}"\n[vectors]\npath = "items.safetensors"\n'
    (elsewhere / "job.toml").write_text(job)

    done = run(elsewhere, "replay", "--config", "job.toml", "--mode", mode, "--out", "out")

    assert done.returncode == 0, done.stderr
    assert (elsewhere / "out" / "report.json").exists()


def test_import_path() -> None:
    """This code first, then the user's paths, made to mean the same in any working directory; never an empty one."""
    given = {"PYTHONPATH": os.pathsep.join(["", "lib", "/abs"])}
    theirs = [str(Path.cwd() / "lib"), "/abs"]

    assert import_path(given) == os.pathsep.join([str(ROOT), *theirs])
    assert import_path({"PYTHONPATH": str(ROOT)}) == str(ROOT)
    installed = next(Path(folder) for folder in site.getsitepackages() if folder in sys.path)
    assert import_path(given, root=installed) == os.pathsep.join(theirs)
