"""Laws of `headwater compare`: its status is its verdict, and two runs of other events are a clear error."""

import json
from pathlib import Path

import pytest

from jobs.cli import main
from tests.jobs.replay_logs import Log, real_log, replay

PYTHON = ("--engine", "python")
EVENTS = 2500


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return real_log("movietweetings", EVENTS, tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def runs(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replays of one log: as it is, twice, and with a head that hardly learns and no popularity to fall back on."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "bad.toml").write_text(
        f'[events]\npath = "{log.events}"\n[vectors]\npath = "{log.vectors}"\n'
        "[learning]\nhead_rate = 0.0001\nhalf_lives = [1.0]\nblend_rate = 0.0001\nnetwork_rate = 1.0\n",
        encoding="utf-8",
    )
    replay(log.arguments, folder / "a", *PYTHON)
    replay(log.arguments, folder / "same", *PYTHON)
    replay(["--config", str(folder / "bad.toml")], folder / "bad", *PYTHON)
    replay(log.arguments, folder / "short", *PYTHON, "--limit", "2000")
    replay(real_log("online_retail", EVENTS, folder).arguments, folder / "shop", *PYTHON)
    return folder


def compared(runs: Path, a: str, b: str, *more: str) -> int:
    return main(["compare", str(runs / a), str(runs / b), *more])


def test_a_change_for_the_worse_and_back(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 when B is worse, 0 when it is better, and the text says so with what was changed."""
    assert compared(runs, "a", "bad") == 1
    out = capsys.readouterr().out
    assert out.endswith("HR@10 of all: B is worse than A\n")
    assert "headwater, 2,500 scored events of" in out
    assert "set otherwise: learning.head_rate: 0.8 -> 0.0001" in out
    assert "  last_10_new_item " in out
    assert compared(runs, "bad", "a") == 0
    assert "B is better than A" in capsys.readouterr().out


def test_no_difference(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same run twice is 3, for every measure; so is a slice of too few users."""
    for measure in ("hr@10", "ndcg@10", "log_loss"):
        assert compared(runs, "a", "same", "--measure", measure) == 3
        assert "no difference seen; the interval holds zero" in capsys.readouterr().out
    assert compared(runs, "a", "bad", "--slice", "user_events_over_50") == 3
    assert "HR@10 of user_events_over_50: cannot be told from fewer than 20 users" in capsys.readouterr().out


def test_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All slices and measures, for programs."""
    assert compared(runs, "a", "bad", "--json", "--model", "popularity_all_time") == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["model"]) == ("no difference seen", "popularity_all_time")
    assert found["slices"]["last_80"]["ndcg@10"]["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


@pytest.mark.parametrize(
    ("b", "more", "text"),
    [
        ("short", (), "run A has 2,500 accepted events, run B 2,000; expected the same events in both"),
        (
            "shop",
            (),
            "event 1 of run A has user 12439, of run B 17850 (2,499 of 2,500 differ); expected the same events",
        ),
        ("none", (), "has no metrics.jsonl; expected the output folder of headwater replay"),
        (
            "same",
            ("--model", "heads"),
            "run A has no model 'heads'; it has headwater, headwater_request, popularity_500",
        ),
        ("same", ("--model", "head", "--measure", "log_loss"), "log_loss is of headwater alone, --model is 'head'"),
    ],
    ids=["length", "log", "no run", "model", "measure"],
)
def test_a_users_mistake(
    runs: Path, b: str, more: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 and a line that names the mismatch."""
    assert compared(runs, "a", b, *more) == 2
    assert text in capsys.readouterr().err
