"""Where a live job keeps what it needs to go on: its folder, one at a time for one job."""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jobs.config import Config
from jobs.orphans import take_over
from jobs.unfinished import newest_checkpoint
from state.errors import HeadwaterError

HOME = Path(".headwater")  # where a job keeps its state unless flink.checkpoints says otherwise
VECTORS, ABOUT, LOCK = "vectors.safetensors", "job.json", "lock"
CHECKPOINTS, SAVEPOINTS, PASS = "checkpoints", "savepoints", "until-end"


class Place(NamedTuple):
    """The folder of a job, held while this process lives."""

    folder: Path
    restore: Path | None  # the newest checkpoint or savepoint
    lock: int  # a descriptor; the system lets go of it however the process ends

    @property
    def vectors(self) -> Path:
        """The frozen initial catalogue."""
        return self.folder / VECTORS

    @property
    def checkpoints(self) -> Path:
        """What a crash goes on from."""
        return self.folder / CHECKPOINTS

    @property
    def savepoints(self) -> Path:
        """What a stop goes on from."""
        return self.folder / SAVEPOINTS

    @property
    def one_pass(self) -> Path:
        """Checkpoints of a run until the end, from which only --resume goes on."""
        return self.folder / PASS


def place_folder(config: Config) -> Path:
    """Return the folder of a job."""
    return (config.flink.checkpoints or HOME / config.name).absolute()


def open_place(config: Config, mode: str, *, fresh: bool, keep: bool = True, resume: bool = False) -> Place:
    """Return where the job keeps its state; refuse state that this job cannot use.

    Args:
        config: of the job.
        mode: thread or process.
        fresh: forget the state.
        keep: False for a run until the end, which neither goes on from the state nor adds to it.
        resume: go on with the run until the end that was killed.

    Raises:
        HeadwaterError: the folder cannot be used, another run holds it, or its state is another job's or was kept in
            the other execution mode.
    """
    folder = place_folder(config)
    lock = _lock(folder)
    if ended := take_over(folder):  # before the newest checkpoint is looked for: they could still make one
        print(f"{config.name}: ended {ended} processes that a killed run had left", file=sys.stderr)
    about = folder / ABOUT
    kept = _read_about(about)
    if kept.get("name") not in (None, config.name):
        raise HeadwaterError(
            f"{folder} holds the state of the job {kept['name']}; this one is {config.name}; "
            "give each job its own flink.checkpoints"
        )
    _require_ended(folder, kept)
    if fresh:
        _forget(folder)
    if not keep:
        return _open_pass(Place(folder, None, lock), {"name": config.name, "mode": mode}, resume=resume)
    restore = newest_state(folder)
    if restore is not None:
        _check_mode(folder, kept.get("mode"), mode, "start anew with --fresh")
    _write_about(about, {"name": config.name, "mode": mode})
    _clear_older(folder, restore)
    return Place(folder, restore, lock)


@contextmanager
def hold_place(config: Config) -> Iterator[None]:
    """Keep runs of the job from starting; raises HeadwaterError where one lives, here or on a cluster."""
    folder = place_folder(config)
    lock = _lock(folder)
    try:
        _require_ended(folder, _read_about(folder / ABOUT))
        yield
    finally:
        os.close(lock)


def _lock(folder: Path) -> int:
    """Hold a job's folder while this process lives, or until the descriptor is closed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise HeadwaterError(
            f"cannot keep state in {folder}: {error.strerror}; choose another flink.checkpoints"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise HeadwaterError(
            f"another headwater run holds {folder}; two runs of one job would undo each other's transactions; "
            "stop that one, or give this job its own name and flink.checkpoints"
        ) from None
    return lock


def _open_pass(place: Place, about: dict[str, str], *, resume: bool) -> Place:
    """Return the place of a run until the end, anew or where a killed one stood."""
    folder = place.one_pass
    restore = newest_checkpoint(folder) if resume else None
    if restore is not None:
        _check_mode(folder, _read_about(folder / ABOUT).get("mode"), about["mode"], "start anew without --resume")
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    _write_about(folder / ABOUT, about)
    return place._replace(restore=restore)


def _check_mode(folder: Path, kept: str | None, mode: str, anew: str) -> None:
    if kept not in (None, mode):
        raise HeadwaterError(
            f"the state in {folder} was kept in {kept} mode; this run is in {mode} mode, which Flink stores in "
            f"another format; run with --mode {kept}, or {anew}"
        )


def shared_place(config: Config) -> Place:
    """Return the folder of a job that Flink itself keeps from running twice; nothing in it is locked or removed.

    Raises:
        HeadwaterError: the configuration names none that all machines see, or it cannot be made.
    """
    if config.flink.checkpoints is None:
        raise HeadwaterError(
            "the configuration has no flink.checkpoints; in application mode the job's folder must be one that all "
            'machines see, such as "/state/live"; set it'
        )
    folder = place_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HeadwaterError(f"cannot make {folder}: {error.strerror}; choose another flink.checkpoints") from None
    return Place(folder, None, -1)


def _read_about(about: Path) -> dict[str, str]:
    """Return whose state a folder holds, nothing where it holds none yet."""
    try:
        text = about.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        text = str(error)
    try:
        kept = json.loads(text)
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(kept.get(key), str) for key in ("name", "mode")):
        raise HeadwaterError(
            f"{about} is damaged: it holds {text[:80]!r}; expected a job's name and mode, as in "
            f'{{"name": "live", "mode": "thread"}}; write that if you know which run kept its state here, or set '
            "another flink.checkpoints"
        )
    return kept


def note_submission(place: Place, target: str, job_id: str) -> None:
    """Write down on which cluster the job runs, so that no second one is started beside it."""
    about = place.folder / ABOUT
    _write_about(about, {**_read_about(about), "target": target, "job": job_id})


def _require_ended(folder: Path, kept: dict[str, str]) -> None:
    """Hold that the job does not run on the cluster that it was submitted to last."""
    from jobs.flink_rest import FlinkRest

    if not (target := kept.get("target")):
        return
    try:
        running = [
            job for job in FlinkRest(target, timeout_s=3).jobs() if job.job_id == kept["job"] and not job.is_over
        ]
    except HeadwaterError:  # that cluster is gone
        return
    if running:
        raise HeadwaterError(
            f"the job of {folder} is {running[0].state.lower()} on {target} as {kept['job']}; two of one job would "
            f"undo each other's transactions; end that one first: headwater stop --config --target {target}"
        )


def _write_about(about: Path, kept: dict[str, str]) -> None:
    """Write it whole or not at all: a cut one would say nothing of the state beside it."""
    temporary = about.with_name(f"{about.name}.new")
    temporary.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    os.replace(temporary, about)


def newest_state(folder: Path) -> Path | None:
    """Return the newest finished checkpoint or savepoint of the job in `folder`, None when there is none."""
    return newest_checkpoint(folder / CHECKPOINTS, folder / SAVEPOINTS)


def _forget(folder: Path) -> None:
    """Remove what is ours; the folder was named by the user and may hold more."""
    for part in (CHECKPOINTS, SAVEPOINTS, PASS):
        shutil.rmtree(folder / part, ignore_errors=True)
    for file in (VECTORS, ABOUT):
        (folder / file).unlink(missing_ok=True)


def _clear_older(folder: Path, restore: Path | None) -> None:
    """Remove the checkpoints of earlier runs, which Flink leaves to us; each run has a folder of its own."""
    for run in (folder / CHECKPOINTS).glob("*"):
        if restore is None or run not in restore.parents:
            shutil.rmtree(run, ignore_errors=True)
