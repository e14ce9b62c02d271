"""The doctor names what is wrong, says what to do, goes on after a failure, and returns 1 when something failed."""

import importlib.util
import sys
import uuid
from pathlib import Path

import pytest

from jobs import jars, job_checks, machine_checks
from jobs.checks import Finding
from jobs.cli import main
from jobs.doctor import examine
from jobs.machine_checks import memory_available_bytes
from jobs.platform import thread_mode_possible
from tests.jobs.replay_logs import vectors_of

TABLES = ("events", "items", "vectors", "lists", "dead_letters", "metrics")


def kafka_job(folder: Path, bootstrap: str, prefix: str = "", kafka: str = "", flink: str = "") -> Path:
    """Write a job.toml from Kafka to Kafka."""
    tables = [f'[{name}]\ntopic = "{prefix}{name}"' for name in TABLES]
    path = folder / "job.toml"
    path.write_text("\n".join([f'[kafka]\nbootstrap = "{bootstrap}"', kafka, "[flink]", flink, *tables]))
    return path


def file_job(folder: Path, header: str = "user,item,ts", items: str = "item,title\ni,Heat\n") -> Path:
    """Write a job.toml on two small files."""
    (folder / "events.csv").write_text(f"{header}\nu,i,1\n")
    (folder / "items.csv").write_text(items)
    path = folder / "job.toml"
    path.write_text('[events]\npath = "events.csv"\n[items]\npath = "items.csv"\n')
    return path


def failures(config: Path | None = None) -> list[Finding]:
    """Return what failed."""
    return [finding for finding in examine(config) if finding.state == "fail"]


def named(config: Path, name: str) -> list[Finding]:
    """Return the findings of one check."""
    return [finding for finding in examine(config) if finding.name == name]


def test_this_machine_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the tests run nothing fails; each line has a state and a name, the last one the sum."""
    assert main(["doctor"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok    ", "warn  ")) for line in lines)
    names = {line.split(maxsplit=1)[1].split(":")[0] for line in lines}
    assert {"python", "java", "flink", "thread mode", "disk", "memory", "port"} <= names
    assert total.startswith(f"{len(lines)} checks: ")
    assert total.endswith(" 0 fail")


def test_good_files_are_ok(tmp_path: Path) -> None:
    """Files whose columns map give the mapping."""
    config = file_job(tmp_path)
    assert failures(config) == []
    assert "user=user, item=item, time=ts" in named(config, "events")[0].seen
    assert "0 of the first 1 without text" in named(config, "items")[0].seen


def test_wrong_column_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that does not map fails with the nearest name and what to write; the exit status is 1."""
    assert main(["doctor", "--config", str(file_job(tmp_path, header="usr,item,ts"))]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail")]
    assert len(told) == 1
    assert "no column for the user" in told[0]
    assert 'write user = "usr" under [events.columns]' in told[0]


def test_items_without_text_are_a_warning(tmp_path: Path) -> None:
    """Items that have ids only work, and the user learns what that means."""
    (found,) = named(file_job(tmp_path, items="item\ni\n"), "items")
    assert found.state == "warn"
    assert "items.columns.text" in found.remedy


@pytest.mark.parametrize("missing", ["events.csv", "items.csv"])
def test_missing_file_is_told_once(tmp_path: Path, missing: str) -> None:
    """A file that is not there fails its own check and no other."""
    config = file_job(tmp_path)
    (tmp_path / missing).unlink()
    (found,) = failures(config)
    assert missing in found.seen
    assert found.remedy


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("user,item,ts", "", "has a header and no rows"),
        ("user,item,ts", "u,i,soon\n", "has not one good row of 1"),
    ],
)
def test_events_that_a_replay_refuses(tmp_path: Path, header: str, row: str, expected: str) -> None:
    """What ends a replay as it reads is told before."""
    config = file_job(tmp_path)
    (tmp_path / "events.csv").write_text(f"{header}\n{row}")
    (found,) = failures(config)
    assert found.name == "events"
    assert expected in f"{found.seen}; {found.remedy}"


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    """A log with some bad rows is one that can be replayed, and the doctor says how many of the first are bad."""
    config = file_job(tmp_path)
    (tmp_path / "events.csv").write_text("user,item,ts\nu,i,1\n,i,1\nu,,1\n")
    (found,) = named(config, "events")
    assert found.state == "ok"
    assert "of the first 3 rows 1 missing_item, 1 missing_user, the others good" in found.seen


def test_vectors_are_read(tmp_path: Path) -> None:
    """A file that is no vector file fails here, not when the job starts."""
    vectors_of([{"item": "a"}], tmp_path)
    config = tmp_path / "job.toml"
    config.write_text('[events]\npath = "events.csv"\n[vectors]\npath = "items.safetensors"\n')
    assert "1 items, vectors of hash-32" in named(config, "vectors")[0].seen
    (tmp_path / "items.safetensors").write_text("item,title\ni,Heat\n")
    assert "not a safetensors file" in named(config, "vectors")[0].seen
    (tmp_path / "items.safetensors").unlink()
    (found,) = named(config, "vectors")
    assert (found.state, "no vector file" in found.seen) == ("fail", True)


@pytest.mark.parametrize("cache", ["/dev/null/x", "/proc/x"])
def test_a_cache_that_cannot_be(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    """Fetching the jars and encoding would fail in it."""
    monkeypatch.setenv("HEADWATER_CACHE", cache)
    (found,) = [finding for finding in failures() if finding.name == "cache"]
    assert f"{cache} cannot be written in" in found.seen
    assert found.remedy == "set HEADWATER_CACHE to a folder of yours"


def test_unknown_key_is_told(tmp_path: Path) -> None:
    """A configuration that does not parse is one failure with the nearest key."""
    config = tmp_path / "job.toml"
    config.write_text('[events]\npaht = "events.csv"\n')
    (found,) = failures(config)
    assert found.name == "configuration"
    assert "did you mean 'path'?" in found.remedy


def test_wrong_python_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that apache-flink has no wheels for is told with those that it has."""
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    (found,) = machine_checks.check_python()
    assert found.state == "fail"
    assert "expected 3.10, 3.11 or 3.12" in found.seen


def test_changed_jar_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar with another sum is a failure; one that is not there yet is a warning, and nothing is fetched."""
    monkeypatch.setenv("HEADWATER_CACHE", str(tmp_path))
    assert {finding.state for finding in machine_checks.check_jars()} == {"warn"}
    folder = jars.cache_dir()
    assert not folder.exists()
    folder.mkdir()
    (folder / jars.lock()["connector"][0].name).write_bytes(b"another")
    (found,) = failures()
    assert "is not the one we pinned" in found.seen


def test_thread_mode_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux x86-64, without pemja or without a shared libpython, the reason is one line."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "Linux x86-64 only" in (thread_mode_possible() or "")
    monkeypatch.undo()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pemja" else find_spec(name))
    assert "pemja" in (thread_mode_possible() or "")
    monkeypatch.undo()
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    reason = thread_mode_possible() or ""
    assert "no shared libpython" in reason
    assert "\n" not in reason


def test_impossible_thread_mode_fails_only_where_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` warns and goes on in process mode; `thread` fails."""
    monkeypatch.setattr(machine_checks, "thread_mode_possible", lambda: "no pemja")
    monkeypatch.setattr(job_checks, "thread_mode_possible", lambda: "no pemja")
    config = file_job(tmp_path)
    assert failures(config) == []
    config.write_text(config.read_text() + '[flink]\nmode = "thread"\n')
    (found,) = failures(config)
    assert "no pemja" in found.seen


def test_memory_is_bounded_by_the_container(tmp_path: Path) -> None:
    """Of the machine's and the container's memory the smaller counts; without a limit the machine's."""
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_available_bytes(tmp_path, tmp_path) == 4000 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory_available_bytes(tmp_path, tmp_path) == 4000


def test_gone_broker_is_told_once(tmp_path: Path) -> None:
    """No broker is one failure with what to do, not one for each topic."""
    (found,) = failures(kafka_job(tmp_path, "127.0.0.1:9"))
    assert "no Kafka broker answers at 127.0.0.1:9" in found.seen
    assert "headwater kafka up" in found.remedy


def test_folder_model_that_is_not_there(tmp_path: Path) -> None:
    """A model named as a folder must be one."""
    config = file_job(tmp_path)
    config.write_text(config.read_text() + f'[vectors]\nmodel = "{tmp_path / "none"}"\n')
    (found,) = failures(config)
    assert found.name == "model"


@pytest.mark.kafka
def test_real_broker_before_and_after_topics(tmp_path: Path, kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each missing topic fails; after `topics create` all is well, the transaction's version included."""
    config = kafka_job(tmp_path, kafka, f"{uuid.uuid4()}.")
    assert [finding.name for finding in failures(config)] == ["topic"] * len(TABLES)
    assert main(["topics", "create", "--config", str(config)]) == 0
    capsys.readouterr()
    assert main(["doctor", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert "ok    transaction version: 2" in told
    assert "ok    transaction timeout: 600000 ms of 900000 ms" in told


@pytest.mark.kafka
def test_transactions_that_cannot_work(tmp_path: Path, kafka: str) -> None:
    """A timeout above the broker's limit fails with that limit; one that checkpoints outlast fails too."""
    prefix = f"{uuid.uuid4()}."
    long = kafka_job(tmp_path, kafka, prefix, 'transaction_timeout = "16m"')
    (found,) = [finding for finding in failures(long) if finding.name == "transaction timeout"]
    assert "transaction.max.timeout.ms is 900000" in found.seen
    short = kafka_job(tmp_path, kafka, prefix, 'transaction_timeout = "10s"', 'checkpoint_interval = "10s"')
    (found,) = [finding for finding in failures(short) if finding.name == "transaction timeout"]
    assert "raise kafka.transaction_timeout" in found.remedy
