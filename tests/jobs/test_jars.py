"""A jar that is not byte for byte the pinned one is never used, and one that was verified costs nothing again."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import jars
from jobs.jars import Jar, broker_classpath, connector_jar, fetch, lock
from state.errors import HeadwaterError

CONTENT = b"a jar"
PINNED = Jar("org.example:thing:1.0", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a lock of one jar that no repository is asked for."""
    monkeypatch.setenv("HEADWATER_CACHE", str(tmp_path))
    monkeypatch.setattr(jars, "lock", lambda: {"one": (PINNED,)})
    folder = tmp_path / "jars"
    folder.mkdir()
    return folder


def test_lock_pins_every_jar() -> None:
    """Each line has full coordinates and a sum; names are unique; Kafka's own jars are of one version."""
    groups = lock()
    assert [jar.coordinates for jar in groups["connector"]] == ["org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2"]
    assert groups["broker"][0].coordinates == "org.apache.kafka:kafka_2.13:4.2.0"
    everything = [jar for group in groups.values() for jar in group]
    assert len({jar.name for jar in everything}) == len(everything)
    assert all(len(jar.sha256) == 64 and jar.coordinates.count(":") == 2 for jar in everything)
    kafka = {jar.coordinates.split(":")[2] for jar in everything if jar.coordinates.startswith("org.apache.kafka:")}
    assert kafka == {"4.2.0"}


def test_roots_are_in_the_lock() -> None:
    """The versions asked for in the module are those the lock was made from."""
    for group, (root, _) in jars.ROOTS.items():
        pinned = {jar.coordinates for jar in lock()[group]}
        assert {root, *jars.ALONE.get(group, ())} <= pinned


def test_changed_jar_is_refused(cache: Path) -> None:
    """A wrong sum names the jar, both sums, and what to do."""
    (cache / PINNED.name).write_bytes(b"another jar")
    with pytest.raises(HeadwaterError) as error:
        fetch("one")
    text = str(error.value)
    assert str(cache / PINNED.name) in text
    assert PINNED.coordinates in text
    assert PINNED.sha256 in text
    assert hashlib.sha256(b"another jar").hexdigest() in text
    assert "delete the file" in text


def test_verified_jar_is_not_read_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start compares size and modification time only; a jar that changed since is read again."""
    path = cache / PINNED.name
    path.write_bytes(CONTENT)
    assert fetch("one") == [path]
    monkeypatch.setattr(jars, "_sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert fetch("one") == [path]
    monkeypatch.undo()


def test_change_after_verification_is_seen(cache: Path) -> None:
    """The memory of a verified jar holds for those bytes, not for the name."""
    path = cache / PINNED.name
    path.write_bytes(CONTENT)
    fetch("one")
    path.write_bytes(b"A jar")  # of the same size
    os.utime(path, ns=(1, 1))
    with pytest.raises(HeadwaterError, match="is not the one we pinned"):
        fetch("one")


def test_memory_belongs_to_a_sum(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new sum in the lock makes an already verified file be read again."""
    (cache / PINNED.name).write_bytes(CONTENT)
    fetch("one")
    monkeypatch.setattr(jars, "lock", lambda: {"one": (Jar(PINNED.coordinates, "0" * 64),)})
    with pytest.raises(HeadwaterError, match="expected 0000"):
        fetch("one")


@pytest.mark.parametrize("memory", ["", "[]", "{", '{"thing-1.0.jar": 3}'])
def test_spoilt_memory_is_forgotten(cache: Path, memory: str) -> None:
    """Whatever lies in verified.json, the worst it does is another reading."""
    (cache / PINNED.name).write_bytes(CONTENT)
    (cache / "verified.json").write_text(memory)
    assert fetch("one")
    assert PINNED.name in json.loads((cache / "verified.json").read_text())


def test_unreachable_repository_is_one_clear_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is down names the jar and three ways out; nothing is left behind."""
    with socket.socket() as closed:  # bound, not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HEADWATER_MAVEN", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        with pytest.raises(HeadwaterError) as error:
            fetch("one")
    text = str(error.value)
    assert f"cannot fetch jar {PINNED.coordinates}" in text
    assert "HEADWATER_MAVEN" in text
    assert str(cache / PINNED.name) in text
    assert [path.name for path in cache.iterdir()] == []


def test_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder below a file is told as such."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADWATER_CACHE", str(tmp_path / "file"))
    with pytest.raises(HeadwaterError, match="HEADWATER_CACHE"):
        fetch("connector")


@pytest.mark.kafka
def test_jars_are_fetched_once(tmp_path: Path) -> None:
    """A process with an empty cache fetches the connector by its coordinates; the next one asks no network."""
    command = [sys.executable, "-c", "from jobs.jars import connector_jar; print(connector_jar())"]
    environment = {**os.environ, "HEADWATER_CACHE": str(tmp_path)}
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Fetching org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2" in first.stderr
    nowhere = {**environment, "HEADWATER_MAVEN": "http://127.0.0.1:9"}
    second = subprocess.run(command, env=nowhere, capture_output=True, text=True, check=True)
    assert second.stdout == first.stdout
    assert second.stderr == ""


@pytest.mark.kafka
def test_both_groups_are_complete() -> None:
    """Every path that is given out exists."""
    assert connector_jar().is_file()
    assert all(path.is_file() for path in broker_classpath())
