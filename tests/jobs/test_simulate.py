"""Laws of `headwater simulate`: what it writes replays as it is, and it overwrites nothing."""

import json
from pathlib import Path

import pytest

from jobs.cli import main

SMALL = ("--events", "1500", "--items", "80", "--users", "60")


@pytest.mark.model
def test_the_log_replays(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With its job.toml and nothing else; every event is accepted, and the optimum is told beside it."""
    assert main(["simulate", "--out", str(tmp_path / "log"), *SMALL]) == 0
    assert "best possible HR@10: all 0." in capfd.readouterr().out
    optimum = json.loads((tmp_path / "log/optimum.json").read_text(encoding="utf-8"))["hr@10"]
    assert 0.5 < optimum["last_80"] < 1
    job = str(tmp_path / "log/job.toml")
    assert main(["replay", "--config", job, "--engine", "python", "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert (report["events"], report["accepted"]) == (1500, 1500)
    assert report["metrics"]["headwater"]["all"]["hr@10"] < optimum["all"]


@pytest.mark.model
def test_the_optimum_is_approached(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After the burn-in, at least 90 % of what the best list would hit; by default settings."""
    size = ("--events", "100000", "--items", "300")
    assert main(["simulate", "--out", str(tmp_path / "log"), *size]) == 0
    job = str(tmp_path / "log/job.toml")
    assert main(["replay", "--config", job, "--engine", "python", "--no-peers", "--out", str(tmp_path / "out")]) == 0
    optimum = json.loads((tmp_path / "log/optimum.json").read_text(encoding="utf-8"))["hr@10"]["last_80"]
    reached = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))["metrics"]["headwater"]
    assert reached["last_80"]["hr@10"] >= 0.9 * optimum, capfd.readouterr().out


def test_mistakes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A log that is there stays; too small a world is refused."""
    (tmp_path / "events.csv").write_text("mine", encoding="utf-8")
    assert main(["simulate", "--out", str(tmp_path), *SMALL]) == 2
    assert "is there already; expected a folder without a log" in capfd.readouterr().err
    assert (tmp_path / "events.csv").read_text(encoding="utf-8") == "mine"
    assert main(["simulate", "--out", str(tmp_path / "b"), "--items", "3"]) == 2
    assert "--items is 3; expected at least 50" in capfd.readouterr().err
