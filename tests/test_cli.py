"""Laws of the command line: it starts at once, lists every command, and a user's mistake is one clear text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, main

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


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C is status 130 without a traceback."""

    def stop(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.doctor.main", stop)
    assert main(["doctor"]) == 130
