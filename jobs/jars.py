"""The jars we load: pinned by `jars.json`, fetched by Maven coordinates, verified by SHA-256, cached for all projects.

`python -m jobs.jars` fetches and verifies them all; `python -m jobs.jars --lock` resolves `ROOTS` anew and rewrites
jars.json (do that after changing a version here, and read the difference before committing it).
"""

import argparse
import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from state.errors import HeadwaterError

ROOTS = {
    # Built on Flink 2.1, tested by its authors on 2.2; measured by us on 2.3. The fat jar: PyFlink hard-codes its
    # shaded names, and nothing else may be loaded with it.
    "connector": ("org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2", False),
    "broker": ("org.apache.kafka:kafka_2.13:4.2.0", True),
}
"""Group -> its Maven coordinates, and whether everything it needs at run time belongs to the group."""
ALONE = {
    # The bridge from Kafka's slf4j 1.7 to the log4j it brings; without it the broker logs nothing. Taken without what
    # it asks for, which Kafka has: resolved together, its list of managed versions would replace Kafka's own.
    "broker": ("org.apache.logging.log4j:log4j-slf4j-impl:2.25.3",),
}
"""Group -> jars added as they are."""

LOCK = Path(__file__).with_name("jars.json")
TRIES = 3  # of one download; a registry hiccups now and then
TIMEOUT_S = 30  # of one HTTP answer
AT_ONCE = 6  # downloads; more gave nothing on a 2-core machine


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock file."""

    coordinates: str  # group:artifact:version
    sha256: str

    @property
    def name(self) -> str:
        """The file's name in the cache; artifact and version are unique in the lock (tested)."""
        return "{1}-{2}.jar".format(*self.coordinates.split(":"))


def connector_jar() -> Path:
    """Return the Kafka connector for Flink, fetched and verified."""
    return fetch("connector")[0]


def broker_classpath() -> list[Path]:
    """Return the jars of a one-node Kafka broker, fetched and verified, in class path order."""
    return fetch("broker")


def cache_dir() -> Path:
    """Return the folder of the jars: ${HEADWATER_CACHE:-~/.cache/headwater}/jars."""
    return Path(os.environ.get("HEADWATER_CACHE") or "~/.cache/headwater").expanduser().absolute() / "jars"


@functools.cache
def lock() -> dict[str, tuple[Jar, ...]]:
    """Return the lock file: group -> its jars."""
    groups = json.loads(LOCK.read_text(encoding="utf-8"))
    return {group: tuple(Jar(**jar) for jar in jars) for group, jars in groups.items()}


def fetch(group: str) -> list[Path]:
    """Return the paths of a group's jars, having fetched those that were missing and verified each.

    A jar that was verified is remembered by size and modification time, so that a later start reads no jar and asks
    no network.

    Raises:
        HeadwaterError: a jar cannot be had, or its sum differs from the lock's.
    """
    folder = cache_dir()
    jars = lock()[group]
    _make(folder)
    if absent := missing(group):
        _download(absent, folder)
    _verify(jars, folder)
    return [folder / jar.name for jar in jars]


def missing(group: str) -> list[Jar]:
    """Return the jars of a group that are not in the cache."""
    return [jar for jar in lock()[group] if not (cache_dir() / jar.name).is_file()]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HeadwaterError(
            f"cannot make the folder for jars {folder} ({error.strerror}); "
            "expected a folder we may write to; set HEADWATER_CACHE to one"
        ) from None


def _verify(jars: Iterable[Jar], folder: Path) -> None:
    memory = folder / "verified.json"
    known = _read_memory(memory)
    fresh = {}
    for jar in jars:
        path = folder / jar.name
        stat = path.stat()
        mark = [jar.sha256, stat.st_size, stat.st_mtime_ns]
        if known.get(jar.name) != mark:
            _compare(jar, path)
            fresh[jar.name] = mark
    if fresh:
        _write_memory(memory, {**_read_memory(memory), **fresh})


def _read_memory(memory: Path) -> dict[str, Any]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # forgotten: everything is read and verified again
    return known if isinstance(known, dict) else {}


def _write_memory(memory: Path, known: dict[str, Any]) -> None:
    # A read-only cache that somebody filled beforehand is fine; it is then verified at each start.
    with contextlib.suppress(OSError):
        temporary = memory.with_name(f"{memory.name}.{os.getpid()}")
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
        temporary.replace(memory)


def _compare(jar: Jar, path: Path) -> None:
    if (found := _sha256(path)) != jar.sha256:
        raise HeadwaterError(
            f"jar {path} is not the one we pinned ({jar.coordinates}); found SHA-256 {found}; expected {jar.sha256}; "
            "delete the file and try again; if the sum differs again, whatever served it changed it: do not use it"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _download(jars: Sequence[Jar], folder: Path) -> None:
    """Fetch jars into a folder of their own, verify each, and only then move it into place; says what it does."""
    if len(jars) == 1:
        print(f"Fetching {jars[0].coordinates} ...", file=sys.stderr)
    else:
        print(f"Fetching {len(jars)} jars ...", file=sys.stderr)
    try:
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as repository,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            for jar, path in zip(jars, pool.map(lambda jar: _get(jar, Path(repository)), jars), strict=True):
                _compare(jar, path)
                path.replace(folder / jar.name)
    except OSError as error:
        raise HeadwaterError(
            f"cannot write jars to {folder} ({error.strerror}); expected a folder we may write to with 200 MB free; "
            "make room, or set HEADWATER_CACHE to another folder"
        ) from None


def _get(jar: Jar, repository: Path) -> Path:
    import requests

    wanted = _artifact(_maven(repository), jar.coordinates)
    for left in reversed(range(TRIES)):
        try:
            return Path(wanted.resolve())
        except (requests.RequestException, RuntimeError) as error:  # RuntimeError: no repository has it
            wanted.cached_path.unlink(missing_ok=True)  # half a file would pass for a whole one at the next try
            if not left:
                raise HeadwaterError(
                    f"cannot fetch jar {jar.coordinates} ({_reason(error)}); expected a Maven repository to answer; "
                    "check the network and proxy (HTTPS_PROXY), set HEADWATER_MAVEN to your mirror's address, "
                    f"or copy the jar to {cache_dir() / jar.name}"
                ) from None
            time.sleep(1)
    raise AssertionError("unreachable")


def _reason(error: Exception) -> str:
    return "no repository has it" if isinstance(error, RuntimeError) else type(error).__name__


def _maven(repository: Path) -> Any:
    """A resolver in pure Python that keeps its files below `repository`; ~/.m2 is neither read nor written."""
    from jgo.maven import MavenContext

    mirror = os.environ.get("HEADWATER_MAVEN", "").rstrip("/")
    return MavenContext(
        repo_cache=repository, local_repos=[], remote_repos={"mirror": mirror} if mirror else None, timeout=TIMEOUT_S
    )


def write_lock() -> None:
    """Resolve `ROOTS` with what they need at run time, take each jar's sum, and rewrite the lock file."""
    with tempfile.TemporaryDirectory() as repository:
        context = _maven(Path(repository))
        groups = {
            group: [_pin(artifact) for artifact in [*_resolve(context, *root), *_resolve_alone(context, group)]]
            for group, root in ROOTS.items()
        }
    LOCK.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")


def _resolve(context: Any, coordinates: str, transitive: bool) -> list[Any]:
    from jgo.maven import Dependency

    root = _artifact(context, coordinates)
    if not transitive:
        return [root]
    _, needed = context.resolver.resolve([Dependency(root)])
    return [root, *(dependency.artifact for dependency in needed if dependency.scope in ("compile", "runtime"))]


def _resolve_alone(context: Any, group: str) -> list[Any]:
    return [_artifact(context, coordinates) for coordinates in ALONE.get(group, ())]


def _artifact(context: Any, coordinates: str) -> Any:
    group, artifact, version = coordinates.split(":")
    return context.project(group, artifact).at_version(version).artifact()


def _pin(artifact: Any) -> dict[str, str]:
    coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    return {"coordinates": coordinates, "sha256": _sha256(artifact.resolve())}


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch and verify every jar, or write the lock anew."""
    parser = argparse.ArgumentParser(prog="python -m jobs.jars", description="Fetch and verify the jars we load.")
    parser.add_argument(
        "--lock", action="store_true", help="resolve the versions in jobs/jars.py anew and rewrite jars.json"
    )
    if parser.parse_args(argv).lock:
        write_lock()
        lock.cache_clear()
    try:
        jars = [path for group in lock() for path in fetch(group)]
    except HeadwaterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(jars)} jars, {sum(path.stat().st_size for path in jars) / 1e6:.0f} MB, verified, in {cache_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
