"""Laws of transactions on a real broker: an open one is found, ended by one command, and nothing is lost unasked."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.committables import Committable, Held
from jobs.config import load_config
from jobs.kafka_client import SILENT, Admin
from jobs.kafka_java import JavaAdmin, Transaction
from jobs.place import hold_place
from jobs.transaction_checks import is_lost, require_transactions, require_whole
from jobs.transactions import is_pending
from state.errors import HeadwaterError
from tests.jobs.live_job import LiveJob
from tests.jobs.live_log import Sent, initial_vectors, items_of, real_log
from tests.jobs.live_oracle import assert_right, lists_over, oracle


def test_a_committable_is_found_by_its_own_bytes(tmp_path: Path) -> None:
    """By id and producer; an id that begins alike, or another's bytes, are not taken for it."""
    (tmp_path / "_metadata").write_bytes(
        b"..." + _committable("job-lists-1", 7, 3) + _committable("job-lists-10", 8, 5)
    )
    held = Held(tmp_path)
    assert held.of("job-lists-1", 7) == Committable(3, 7)
    assert held.of("job-lists-10", 8) == Committable(5, 8)
    assert held.of("job-lists-1", 8) is None
    assert held.of("job-lists", 7) is None


def _committable(name: str, producer: int, epoch: int) -> bytes:
    """As the connector writes it."""
    return struct.pack(">hqH", epoch, producer, len(name)) + name.encode() + b"\0\0"


CONFIG = """
name = "{name}"
[events]
topic = "{name}.events"
[vectors]
topic = "{name}.vectors"
[lists]
topic = "{name}.lists"
[kafka]
bootstrap = "{kafka}"
[flink]
checkpoints = "state"
"""


class Writer:
    """A job's sink that died with a transaction open: its producer, and the job's configuration."""

    def __init__(self, folder: Path, kafka: str, name: str, timeout_ms: int = 600_000) -> None:
        from confluent_kafka import Producer

        self.file, self.topic = folder / "job.toml", f"{name}.lists"
        self.name = f"{name}-lists-0-1"
        self._folder, self._kafka = folder, kafka
        self.file.write_text(CONFIG.format(name=name, kafka=kafka))
        Admin(kafka).create_topic(self.topic, 1, 1, {})
        settings = {"bootstrap.servers": kafka, "transactional.id": self.name, "transaction.timeout.ms": timeout_ms}
        self.producer = Producer(settings, logger=SILENT)
        self.producer.init_transactions(30)
        self.producer.begin_transaction()
        self.producer.produce(self.topic, b"made before the death")
        self.producer.flush(30)

    def run(self, *arguments: str) -> int:
        """Run `headwater transactions`."""
        action, *more = arguments
        return main(["transactions", action, "--config", str(self.file), *more])

    def transaction(self) -> Transaction:
        """Return what the broker knows of it."""
        with JavaAdmin(load_config(self.file), self._folder / "logs") as admin:
            [found] = admin.transactions(self.name)
        return found

    def read(self) -> list[bytes]:
        """Return what a reader of committed records sees behind it: a record that another one committed."""
        from confluent_kafka import Consumer, TopicPartition

        settings = {"bootstrap.servers": self._kafka, "group.id": "t", "isolation.level": "read_committed"}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(self.topic, 0, 0)])
        values = [m.value() for m in consumer.consume(10, timeout=3) if m.error() is None]
        consumer.close()
        return values

    def pending_in_a_checkpoint(self) -> Path:
        """Make a checkpoint that holds the transaction, in the connector's bytes."""
        checkpoint = self._folder / "state" / "checkpoints" / "0" / "chk-3"
        checkpoint.mkdir(parents=True)
        found = self.transaction()
        (checkpoint / "_metadata").write_bytes(b"head" + _committable(self.name, found.producer, found.epoch))
        return checkpoint


@pytest.fixture
def writer(tmp_path: Path, kafka: str, request: pytest.FixtureRequest) -> Iterator[Writer]:
    from confluent_kafka import Producer

    made = Writer(tmp_path, kafka, request.node.name.replace("_", "-")[:40])
    after = Producer({"bootstrap.servers": kafka})
    after.produce(made.topic, b"after it")
    after.flush(30)
    yield made


@pytest.mark.flink
@pytest.mark.kafka
def test_an_open_one_is_ended_and_readers_go_on(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers wait for it; the list names it, with its age and topic; abort ends it; then readers see what follows."""
    assert writer.read() == []
    assert writer.run("list") == 1
    told = capsys.readouterr().out
    assert f"{writer.name}: Ongoing for " in told
    assert f"wrote to {writer.topic}/0\n" in told
    assert "end those that no checkpoint will commit: headwater transactions abort" in told

    assert writer.run("abort") == 0

    assert f"aborted {writer.name}; nothing is lost: no checkpoint holds it" in capsys.readouterr().out
    assert writer.read() == [b"after it"]
    assert writer.run("list") == 0
    assert writer.run("abort") == 0
    assert "has no open transaction" in capsys.readouterr().out


@pytest.mark.flink
@pytest.mark.kafka
def test_what_a_checkpoint_will_commit_is_kept(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not aborted unless that is forced, and then it is said what is lost."""
    checkpoint = writer.pending_in_a_checkpoint()
    assert writer.run("list") == 1
    assert f"; {checkpoint} will commit it" in capsys.readouterr().out

    assert writer.run("abort") == 1

    assert f"kept {writer.name}: {checkpoint} will commit it when the job is started again" in capsys.readouterr().out
    assert writer.transaction().is_open
    writer.producer.commit_transaction(30)  # as the restarted job does
    assert writer.read() == [b"made before the death", b"after it"]


@pytest.mark.flink
@pytest.mark.kafka
def test_force_says_what_is_lost(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    """The checkpoint and the topics are named."""
    checkpoint = writer.pending_in_a_checkpoint()
    assert writer.run("abort", "--force", writer.name) == 0
    told = capsys.readouterr().out
    assert f"what {checkpoint} had for {writer.topic}/0 is lost" in told
    assert writer.read() == [b"after it"]


@pytest.mark.flink
@pytest.mark.kafka
def test_a_running_job_is_left_alone(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    """While a run lives, its transactions are its own; a name that it does not have is told."""
    with hold_place(load_config(writer.file)):
        assert writer.run("abort") == 2
        assert "another headwater run holds " in capsys.readouterr().err
    assert writer.run("abort", "another") == 2
    assert "has no transaction another" in capsys.readouterr().err
    assert writer.transaction().is_open


OURS = Committable(epoch=3, producer=7)


@pytest.mark.parametrize(
    ("state", "epoch", "pending", "lost"),
    [
        ("Ongoing", 3, True, False),  # the checkpoint will commit it
        ("PrepareCommit", 3, True, False),
        ("CompleteCommit", 4, False, False),  # it has
        ("Ongoing", 4, False, False),  # it has, and the id is used again
        ("CompleteAbort", 4, False, True),  # the broker was faster
        ("PrepareAbort", 4, False, True),
        ("CompleteAbort", 5, False, False),  # committed, used again, and that aborted
        ("Empty", 5, False, False),  # a start since then has ended it
    ],
)
def test_what_became_of_a_committable(state: str, epoch: int, pending: bool, lost: bool) -> None:
    """Each end of a transaction raises the epoch by one, so state and epoch tell which one a checkpoint means."""
    transaction = Transaction("x", state, 7, epoch, 1000, 0.0, ())
    assert (is_pending(OURS, transaction), is_lost(OURS, transaction)) == (pending, lost)
    assert not is_pending(None, transaction) and not is_lost(None, transaction)


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.slow
def test_an_expired_one_is_an_alarm(tmp_path: Path, kafka: str) -> None:
    """What the broker aborted after the timeout, and a checkpoint meant to commit, stops the start and is named."""
    writer = Writer(tmp_path, kafka, "expired", timeout_ms=1000)
    checkpoint = writer.pending_in_a_checkpoint()
    config = load_config(writer.file)
    assert "left open" in require_whole(config, checkpoint, tmp_path, accept_loss=False)
    deadline = time.monotonic() + 60
    while writer.transaction().state != "CompleteAbort":  # a broker looks every 10 s
        assert time.monotonic() < deadline
        time.sleep(0.5)

    with pytest.raises(HeadwaterError, match="go on with this gap by --accept-loss") as alarm:
        require_whole(config, checkpoint, tmp_path, accept_loss=False)

    assert f"what {checkpoint} wrote and left to be committed is lost" in str(alarm.value)
    assert f"the broker aborted {writer.name};" in str(alarm.value)
    assert require_whole(config, checkpoint, tmp_path, accept_loss=True).startswith("warning: what ")
    assert require_whole(config, None, tmp_path, accept_loss=False) == ""


@pytest.mark.kafka
def test_a_timeout_that_cannot_be_is_told_before_the_start(tmp_path: Path, kafka: str) -> None:
    """Longer than the broker allows, or not far beyond the checkpoints: the setting is named, and what to do."""
    file = tmp_path / "job.toml"
    for timeout, interval, told in (
        ("16m", "1s", "lower kafka.transaction_timeout"),
        ("2s", "1s", "raise kafka.trans"),
    ):
        text = CONFIG.format(name="f1", kafka=kafka).replace("[flink]", f'transaction_timeout = "{timeout}"\n[flink]')
        file.write_text(f'{text}checkpoint_interval = "{interval}"\n')
        with pytest.raises(HeadwaterError, match=f"transaction timeout: .* {told}"):
            require_transactions(load_config(file))


@pytest.mark.flink
@pytest.mark.kafka
@pytest.mark.slow
def test_a_killed_job_leaves_one_that_is_ended(tmp_path: Path, kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A real job, killed between two checkpoints: readers stall, abort ends that, and the next run loses nothing.

    What its last checkpoint holds was committed, and is not taken for pending.
    """
    log = real_log(3000, 1)
    with LiveJob(kafka, tmp_path, "hanging", 1, 'checkpoint_interval = "15s"\n') as job:
        lists = job.config.lists.topic
        initial = initial_vectors(items_of(log), log[0].record.at_ms - 1000)
        job.send(job.config.vectors.topic, initial)
        job.start("--mode", "thread")
        job.wait_until_started()
        half = [sent.record for sent in log[: len(log) // 2]]
        job.send(job.config.events.topic, half)
        job.wait_for(lambda: bool(job.read(lists)))
        job.send(job.config.events.topic, [sent.record for sent in log[len(log) // 2 :]])
        job.wait_for(lambda: _open_end(kafka, lists) > _committed_end(kafka, lists))
        job.crash()
        assert _open_end(kafka, lists) > _committed_end(kafka, lists)
        command = ["transactions", "list", "--config", str(job.file)]
        assert main(command) == 1
        told = capsys.readouterr().out
        assert "hanging-lists" in told and "will commit it" not in told

        assert main(["transactions", "abort", "--config", str(job.file)]) == 0

        assert _open_end(kafka, lists) == _committed_end(kafka, lists)
        expected = oracle(job.config, job.state / "vectors.safetensors", log, [Sent(each, "") for each in initial])
        over = lists_over(job.config, expected, log)
        job.start("--mode", "thread")
        job.wait_for(lambda: len(job.read(lists)) >= len(over))
        assert_right(over, job.read(lists))
        assert json.loads(over[-1].value or b"")


def _ends(kafka: str, topic: str, committed: bool) -> int:
    from confluent_kafka import IsolationLevel, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    client = AdminClient({"bootstrap.servers": kafka})  # to be kept: its answers come only while it lives
    asked = client.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()}, isolation_level=level)
    [answer] = asked.values()
    found: Any = answer.result(30)
    return int(found.offset)


def _open_end(kafka: str, topic: str) -> int:
    return _ends(kafka, topic, committed=False)


def _committed_end(kafka: str, topic: str) -> int:
    return _ends(kafka, topic, committed=True)
