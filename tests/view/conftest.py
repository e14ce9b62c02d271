"""A real replay that the tests of the view share."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.jobs.replay_logs import EXAMPLES, real_log, replay


class Replayed(NamedTuple):
    """The folder of a replay and its report."""

    folder: Path
    report: dict[str, object]


@pytest.fixture(scope="session")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """Replay 3,000 real events with explanations; items have their real titles.

    Popularity knows the newest event alone: else the safety floor serves it in so short a log, and there is one reason.
    """
    folder = tmp_path_factory.mktemp("replayed")
    log = real_log("movietweetings", 3000, folder)
    (folder / "job.toml").write_text(
        f'name = "replayed"\n[events]\npath = "{log.events}"\n[items]\npath = "{EXAMPLES}/movietweetings/items.csv"\n'
        f'[vectors]\npath = "{log.vectors}"\n[lists]\ncandidates = "unseen"\n[learning]\nhalf_lives = [1.0]\n',
        encoding="utf-8",
    )
    report = replay(["--config", str(folder / "job.toml")], folder / "out", "--engine", "python", "--no-peers", "--why")
    return Replayed(folder / "out", report)


@pytest.fixture
def copied(replayed: Replayed, tmp_path: Path) -> Iterator[Path]:
    """Yield a copy of the replay's folder, to be changed."""
    import shutil

    yield Path(shutil.copytree(replayed.folder, tmp_path / "out"))
