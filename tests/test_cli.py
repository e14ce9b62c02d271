"""Laws of the command line: it starts at once, lists every command, and a user's mistake is one clear text."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, main
from tests.jobs.replay_logs import ROWS, Log, vectors_of, write_csv

ROOT = Path(__file__).parent.parent
HELP_CPU_S = 0.3


def headwater(*arguments: str) -> tuple[int, str, str, float]:
    """Run the command in a process of its own; return its status, both outputs and the CPU time it took."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return done.returncode, done.stdout, done.stderr, cpu_s


def test_help_is_quick_and_complete() -> None:
    """`headwater --help` takes less than 0.3 s of CPU time and lists every command with its help."""
    status, out, _, cpu_s = headwater("--help")
    assert status == 0
    assert cpu_s < HELP_CPU_S
    text = " ".join(out.split())
    for name, (_, about) in COMMANDS.items():
        assert f"{name} {about}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command describes itself and each of its arguments."""
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    about = COMMANDS[name][1]
    assert out.startswith(f"usage: headwater {name}")
    assert about[1:] in out


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, or with a wrong one, the usage is shown and the status is 2."""
    for arguments, text in ([], "COMMAND"), (["reply"], "invalid choice: 'reply'"):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert text in capsys.readouterr().err


JOB = 'name = "x"\n[events]\npath = "events.csv"\n[items]\npath = "items.csv"\n[lists]\ncandidates = "unseen"\n'


@pytest.mark.parametrize(
    ("arguments", "toml", "texts"),
    [
        (["replay", "--config", "none.toml"], None, ["none.toml"]),
        (["replay", "--config", "job.toml"], "name = ", ["job.toml"]),
        (["replay", "--config", "job.toml"], JOB.replace("candidates", "candidate"), ["candidate", "candidates"]),
        (["replay", "--config", "job.toml"], JOB.replace("unseen", "unsen"), ["unsen", "unseen"]),
        (["replay", "--config", "job.toml", "--limit", "0"], JOB, ["--limit is 0; expected at least 1"]),
        (["replay", "--config", "job.toml", "--engine", "python"], JOB, ["events.csv"]),
        (["doctor", "--config", "job.toml", "extra"], None, ["unrecognized arguments: extra"]),
    ],
    ids=["no file", "no toml", "unknown key", "unknown value", "bad limit", "no events", "extra argument"],
)
def test_a_users_mistake(arguments: list[str], toml: str | None, texts: list[str], tmp_path: Path) -> None:
    """Status 2, no traceback, and a text that names what came."""
    if toml is not None:
        (tmp_path / "job.toml").write_text(toml, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr
    if arguments[0] == "replay":
        assert done.stderr.startswith("headwater replay: error: ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", ["--help", "doctor", "replay"])
def test_a_reader_that_goes_away(tmp_path: Path, name: str, unbuffered: str) -> None:
    """As of `headwater doctor | head -1`: it ends quietly; a replay that was done does not tell of a full disk."""
    log = Log(write_csv(tmp_path / "log.csv", ROWS), vectors_of(ROWS, tmp_path))
    more = [*log.arguments, "--engine", "python", "--out", str(tmp_path / "out")] if name == "replay" else []
    with subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", name, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        told = process.stderr.read().decode()

    assert process.returncode == 141 or (name, process.returncode) == ("--help", 0), told  # argparse may not care
    assert "rror" not in told
    assert name != "replay" or (tmp_path / "out" / "report.html").exists()


LOADED_BY_ANY_PYTHON = ("jobs/cli.py", "jobs/__init__.py", "state/__init__.py", "state/errors.py")


@pytest.mark.parametrize("file", LOADED_BY_ANY_PYTHON)
def test_what_an_old_python_reads(file: str) -> None:
    """Python 3.7 can read all that stands before the check for its version, and evaluates no type of ours."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 7))
    typed = any(isinstance(node, ast.FunctionDef) for node in tree.body)
    first = next((node for node in tree.body if isinstance(node, ast.ImportFrom)), None)
    assert not typed or (first is not None and first.module == "__future__")


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.13", "3.14"])
def test_another_python_is_told(version: str) -> None:
    """One line says which this is and which there should be."""
    python = shutil.which(f"python{version}") or ""
    if not python or subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip(f"there is no Python {version}")
    done = subprocess.run([python, "-m", "jobs.cli", "doctor"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rf"headwater: error: this is Python {version}\.\S+; expected 3.10, .*\n", done.stderr)


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C is status 130 without a traceback."""

    def stop(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.doctor.main", stop)
    assert main(["doctor"]) == 130
