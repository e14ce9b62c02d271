"""A job's folder: its own state and no other's, one run at a time, nothing of the user's removed."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.config import Config, Flink
from jobs.place import Place, newest_state, open_place
from state.errors import HeadwaterError


def config_in(folder: Path, name: str = "job") -> Config:
    """Return the configuration of a job with its state in `folder`."""
    return Config(name=name, flink=Flink(checkpoints=folder))


def checkpoint(folder: Path, at_ns: int) -> Path:
    """Make what counts as a finished checkpoint or savepoint, written at a time; return it."""
    folder.mkdir(parents=True)
    (folder / "_metadata").touch()
    os.utime(folder / "_metadata", ns=(at_ns, at_ns))
    return folder


def reopened(place: Place, config: Config, mode: str = "thread", *, fresh: bool = False, keep: bool = True) -> Place:
    """Let go, as the end of a process does, and open again."""
    os.close(place.lock)
    return open_place(config, mode, fresh=fresh, keep=keep)


def test_the_newest_finished_state_is_taken(tmp_path: Path) -> None:
    """Checkpoint or savepoint, whichever was finished last; what a crash left unfinished is none."""
    config = config_in(tmp_path)
    place = open_place(config, "thread", fresh=False)
    assert place.restore is None
    saved = checkpoint(place.savepoints / "savepoint-1", 1)
    (place.checkpoints / "run-2" / "chk-9").mkdir(parents=True)
    assert saved == newest_state(tmp_path)
    newer = checkpoint(place.checkpoints / "run-2" / "chk-8", 2)

    assert newer == reopened(place, config).restore


def test_checkpoints_of_earlier_runs_are_removed(tmp_path: Path) -> None:
    """Flink leaves them to us; the one to go on from and all savepoints stay."""
    config = config_in(tmp_path)
    place = open_place(config, "thread", fresh=False)
    old = checkpoint(place.checkpoints / "run-1" / "chk-3", 1)
    saved = checkpoint(place.savepoints / "savepoint-1", 2)
    newest = checkpoint(place.checkpoints / "run-2" / "chk-5", 3)

    reopened(place, config)

    assert [False, True, True] == [old.exists(), saved.exists(), newest.exists()]


def test_fresh_forgets_what_is_ours_alone(tmp_path: Path) -> None:
    """The folder was named by the user and may hold more."""
    config = config_in(tmp_path)
    place = open_place(config, "thread", fresh=False)
    checkpoint(place.savepoints / "savepoint-1", 1)
    place.vectors.touch()
    theirs = tmp_path / "notes.txt"
    theirs.touch()

    again = reopened(place, config, "process", fresh=True)

    assert again.restore is None
    assert not again.vectors.exists()
    assert theirs.exists()


def test_the_other_mode_is_refused(tmp_path: Path) -> None:
    """Flink would start empty, without an error; only a job without state may change its mode."""
    config = config_in(tmp_path)
    place = reopened(open_place(config, "thread", fresh=False), config, "process")
    checkpoint(place.checkpoints / "run-1" / "chk-1", 1)

    with pytest.raises(HeadwaterError, match="kept in process mode; this run is in thread mode"):
        reopened(place, config)


def test_one_pass_touches_no_state(tmp_path: Path) -> None:
    """A run until the end neither goes on from the state nor changes what is kept, whatever its mode."""
    config = config_in(tmp_path)
    place = open_place(config, "thread", fresh=False)
    kept = checkpoint(place.checkpoints / "run-1" / "chk-1", 1)
    left = checkpoint(place.one_pass / "crashed" / "chk-1", 2)

    once = reopened(place, config, "process", keep=False)

    assert once.restore is None
    assert not left.exists()
    assert kept == reopened(once, config).restore


def test_two_runs_and_two_jobs_do_not_share(tmp_path: Path) -> None:
    """A folder serves one run at a time, and one job for ever."""
    config = config_in(tmp_path)
    place = open_place(config, "thread", fresh=False)

    with pytest.raises(HeadwaterError, match="another headwater run holds"):
        open_place(config, "thread", fresh=False)
    with pytest.raises(HeadwaterError, match="holds the state of the job job; this one is other"):
        reopened(place, replace(config, name="other"))


@pytest.mark.parametrize("damaged", [b"", b'{"name": "jo', b"[]", b'{"name": 3, "mode": "thread"}', b"\xff"])
def test_a_damaged_mark_is_told(tmp_path: Path, damaged: bytes) -> None:
    """A disk that was full, or a crash of an older version, may have cut it; the state beside it stays."""
    config = config_in(tmp_path)
    place = open_place(config, "thread", fresh=False)
    kept = checkpoint(place.checkpoints / "run-1" / "chk-1", 1)
    (tmp_path / "job.json").write_bytes(damaged)

    with pytest.raises(HeadwaterError, match=r"job.json is damaged: .* expected a job's name and mode, as in .*"):
        reopened(place, config)
    assert kept.exists()


def test_the_mark_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old one."""
    place = open_place(config_in(tmp_path), "thread", fresh=False)
    before = (tmp_path / "job.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        reopened(place, config_in(tmp_path), "process")
    assert before == (tmp_path / "job.json").read_bytes()
