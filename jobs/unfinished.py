"""A replay that was killed: what it was a replay of, and the checkpoint from which it goes on."""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from jobs.config import Config
from state.errors import HeadwaterError

NOTE = "replay.json"  # in the folder for work
Inputs = Mapping[str, str]  # what a replay is of: "events" and so on -> a digest, or a word


def inputs_of(config: Config, mode: str, events_sha256: str, vectors: Path) -> Inputs:
    """Return what a replay is of; it may go on with another parallelism, and with nothing else that differs."""
    plain = config.as_dict()
    del plain["flink"]["parallelism"]
    return {
        "configuration": hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest(),
        "mode": mode or "python",
        "events": events_sha256,
        "vectors": hashlib.sha256(vectors.read_bytes()).hexdigest(),
    }


def note(work: Path, inputs: Inputs) -> None:
    """Write down what the replay that now starts is of; whole, or not at all."""
    partial = work / f"{NOTE}.partial"
    partial.write_text(json.dumps(inputs), encoding="utf-8")
    os.replace(partial, work / NOTE)


def is_noted(work: Path, inputs: Inputs) -> bool:
    """Tell whether a replay of just these inputs was begun in the folder, and not finished.

    Raises:
        HeadwaterError: one of others was.
    """
    try:
        noted = json.loads((work / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise HeadwaterError(f"{work / NOTE} cannot be read ({error}); replay without --resume") from None
    if others := [name for name in inputs if noted.get(name) != inputs[name]]:
        raise HeadwaterError(
            f"{work.parent} holds a replay of other {' and '.join(others)}, which cannot go on with these; "
            "give the same as before, or replay without --resume, which starts anew"
        )
    return True


def newest_checkpoint(*folders: Path) -> Path | None:
    """Return the newest checkpoint or savepoint below some folders that was finished, None when there is none."""
    # Flink gives the file this name when all else is written.
    found = [file for folder in folders for file in folder.glob("**/_metadata")]
    return max(found, key=lambda file: file.stat().st_mtime_ns).parent if found else None


def hold(folder: Path, taken: str) -> int:
    """Hold a folder while this process lives; return the descriptor, which the system closes however it ends.

    Raises:
        HeadwaterError: another process holds it; the text is `taken`.
    """
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise HeadwaterError(taken) from None
    return lock
