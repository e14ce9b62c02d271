"""Laws of `headwater serve`: it starts, goes on where it was, ends when told, and says what is wrong."""

import signal
import subprocess
from pathlib import Path

import pytest

from jobs.cli import main
from tests.view.conftest import Replayed
from tests.view.running import ask, command


def test_it_serves_a_replay_and_ends_when_told(copied: Path, replayed: Replayed) -> None:
    """Ctrl-C ends it with status 0 within a second or two, streams open or not; started again it has all, once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with command("--replay", str(copied)) as (process, port):
            user = ask(port, "/users?k=1").json["users"][0]
            told = ask(port, f"/users/{user}/recommendations").json
            assert told["source"] == "list"
            assert told["items"][0]["title"].endswith(")")  # a film's year
            assert f"headwater_lists_total {float(replayed.report['lists'])}" in ask(port, "/metrics").body.decode()  # type: ignore[arg-type]
            process.send_signal(number)
            assert process.wait(10) == 0


def test_a_second_one_is_told(copied: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two cannot hold one store, and a port is one's own."""
    with command("--replay", str(copied)) as (_, port):
        assert main(["serve", "--replay", str(copied), "--port", "0"]) == 2
        assert "is held by another headwater serve; stop that one; or name another --store" in capfd.readouterr().err
        assert main(["serve", "--replay", str(copied), "--port", str(port)]) == 2
        assert (
            f"cannot listen at 127.0.0.1 port {port}: Address already in use; expected a free port"
            in capfd.readouterr().err
        )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "nothing was named to serve; expected --config job.toml for a live job, or --replay DIR"),
        (["--config", "examples/movietweetings/job.toml"], "reads its events from a file; a live view reads topics"),
        (["--replay", "docs"], "docs holds no recommendations/; expected the folder of a replay"),
        (["--replay", "docs", "--clicks"], "--clicks sends events to events.topic, which is not named"),
        (["--replay", "docs", "--host", "0.0.0.0"], "can be reached by other machines and there is no token"),
        (["--replay", "docs", "--token-file", "missing"], "cannot read the token in missing"),
        (
            ["--replay", "docs", "--token-file", "examples/movietweetings/README.md", "--host", "999.1.1.1"],
            "cannot listen at 999.1.1.1",
        ),
        (["--config", "examples/live/job.toml", "--port", "0"], "no Kafka broker answers at 127.0.0.1:9092"),
    ],
)
def test_mistakes(
    arguments: list[str], text: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is one clear text and status 2."""
    monkeypatch.delenv("HEADWATER_TOKEN", raising=False)
    monkeypatch.chdir(Path(__file__).parents[2])
    assert main(["serve", *arguments]) == 2
    assert text in capfd.readouterr().err


def test_a_short_token_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty file is a mistake too, not an open server."""
    for text in ("", "short"):
        (tmp_path / "token").write_text(text)
        assert main(["serve", "--replay", str(tmp_path), "--token-file", str(tmp_path / "token")]) == 2
        assert f"the token has {len(text)} characters; expected 16 or more" in capfd.readouterr().err


def test_the_token_is_told_to_nobody(copied: Path) -> None:
    """Neither the command line nor any output holds it, and with it other addresses are served."""
    token = "canary-0123456789-canary"
    with command("--replay", str(copied), "--host", "0.0.0.0", HEADWATER_TOKEN=token) as (process, port):
        assert ask(port, "/users").status == 401
        assert ask(port, "/users", authorization=f"Bearer {token}", host="any.example").status == 200
        assert token.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert token.encode() not in ask(port, "/metrics", authorization=f"Bearer {token}").body
        process.send_signal(signal.SIGTERM)
        assert token not in (process.communicate(timeout=10)[1] or "")


def test_a_killed_view_goes_on(copied: Path, replayed: Replayed) -> None:
    """Killed while it reads, it neither loses nor repeats."""
    import sys
    import time

    from tests.view.running import ROOT

    for pause in (0.0, 0.15):
        line = [sys.executable, "-m", "jobs.cli", "serve", "--replay", str(copied), "--port", "0"]
        process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "the page is at" in process.stderr.readline()
        time.sleep(pause)
        process.kill()
        process.communicate()
    with command("--replay", str(copied)) as (_, port):
        text = ask(port, "/metrics").body.decode()
        assert f"headwater_lists_total {float(replayed.report['lists'])}" in text  # type: ignore[arg-type]
        assert f"headwater_events_accepted_total {float(replayed.report['accepted'])}" in text  # type: ignore[arg-type]
