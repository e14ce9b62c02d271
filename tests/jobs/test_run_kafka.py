"""The live loop on a real broker: what readers see equals the oracle, byte for byte, each exactly once."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from jobs.config import Config
from jobs.snapshot import freeze_vectors
from tests.faults.checker import Seen
from tests.faults.oracle import dead_letter
from tests.jobs.live_job import LiveJob
from tests.jobs.live_log import Sent, in_parts, initial_vectors, item_changes, items_of, real_log
from tests.jobs.live_oracle import Expected, assert_right, lists_over, oracle

pytestmark = [pytest.mark.flink, pytest.mark.kafka, pytest.mark.slow]

EVENTS, PARTITIONS = 20_000, 3


@pytest.fixture(scope="module")
def log() -> list[Sent]:
    """The real log with its repeated, late and unreadable records."""
    return real_log(EVENTS, PARTITIONS)


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_readers_see_the_oracles_lists(tmp_path: Path, kafka: str, log: list[Sent], mode: str) -> None:
    """Lists, dead letters and metrics of a pass equal the oracle's bytes; nothing vanishes, nothing comes twice.

    In thread mode the job has started before the changes came, so that its catalogue lacks them; in process mode it
    starts now, finds the newest vectors, and learns of the older ones as changes.
    """
    items = items_of(log)
    times = sorted(sent.record.at_ms for sent in log)
    initial = initial_vectors(items, times[0] - 1000)
    changes = item_changes(items, len(initial), times[0], times[-1])
    records, vectors = [sent.record for sent in log], tmp_path / "state" / "vectors.safetensors"
    with LiveJob(kafka, tmp_path, f"live-{mode}", PARTITIONS, "parallelism = 2\n") as job:
        job.send(job.config.vectors.topic, initial)
        if mode == "thread":
            freeze_vectors(job.config, vectors)
        job.send(job.config.vectors.topic, [sent.record for sent in changes])
        job.send(job.config.events.topic, records)

        status, told = job.run("--until-end", "--mode", mode)

        assert status == 0, told
        expected = oracle(job.config, vectors, log, [*(Sent(each, "") for each in initial), *changes])
        found = {topic: job.read(topic) for topic in (job.config.lists.topic, job.config.dead_letters.topic)}
        dead_letters = found[job.config.dead_letters.topic]
        assert_right(expected.lists, found[job.config.lists.topic], expected.dead_letters, dead_letters)
        assert expected.metrics == [seen[:2] for seen in job.read(job.config.metrics.topic)]
        check_dead_letters(job.config, dead_letters, log, changes)
        dead = sum(1 for sent in log if sent.reason)
        assert len(records) == expected.final["accepted"] + expected.final["duplicates"] + dead
        assert_is_the_log_of_the_issue(log, expected)


def check_dead_letters(config: Config, found: list[Seen], log: list[Sent], changes: list[Sent]) -> None:
    """Each bad record is there once, for the reason its maker gave, with its bytes and where it lay."""
    bad = [
        dead_letter(topic, sent.record, sent.reason)
        for topic, source in ((config.events.topic, log), (config.vectors.topic, changes))
        for sent in source
        if sent.reason
    ]
    assert_right([], [], bad, found)


def assert_is_the_log_of_the_issue(log: list[Sent], expected: Expected) -> None:
    """The log is what the test says it is: real events, 2 % repeated, 1 % late, 1 % garbage, hundreds of ticks."""
    reasons = Counter(sent.reason for sent in log)
    garbage = reasons.total() - reasons[""] - reasons["late"]
    assert EVENTS * 0.99 < expected.final["accepted"] <= EVENTS
    assert EVENTS * 0.018 < expected.final["duplicates"] <= EVENTS * 0.02
    assert EVENTS * 0.009 < reasons["late"] < EVENTS * 0.011
    assert EVENTS * 0.009 < garbage <= EVENTS * 0.01
    assert len(expected.metrics) > 400


def test_a_stop_and_a_crash_are_invisible(tmp_path: Path, kafka: str) -> None:
    """Stopped with a savepoint, started, killed, started, the job's lists are those of one run, each once."""
    log = real_log(3000, 2)
    items = items_of(log)
    with LiveJob(kafka, tmp_path, "goes-on", 2) as job:
        topic, lists = job.config.events.topic, job.config.lists.topic
        initial = initial_vectors(items, log[0].record.at_ms - 1000)
        job.send(job.config.vectors.topic, initial)
        thirds = in_parts(log, 3)
        seen = 0
        for number, third in enumerate(thirds):
            job.start("--mode", "thread")
            job.wait_until_started()
            job.send(topic, third)
            job.wait_for(lambda seen=seen: len(job.read(lists)) > seen + 200)  # type: ignore[misc]  # its default
            seen = len(job.read(lists))
            if number == 0:
                status, told = job.end(signal.SIGINT)
                assert (status, told.count("stopped; the next run goes on from")) == (0, 1), told
            elif number == 1:
                job.crash()
        assert f"goes on from {job.state / 'checkpoints'}" in job.log.read_text()
        expected = oracle(job.config, job.state / "vectors.safetensors", log, [Sent(each, "") for each in initial])
        over = lists_over(job.config, expected, log)
        job.wait_for(lambda: len(job.read(lists)) >= len(over))
        assert job.end(signal.SIGTERM)[0] == 0

        assert_right(over, job.read(lists))

        status, told = job.run("--mode", "process")
        assert (status, told.count("was kept in thread mode")) == (2, 1), told
        assert told.count("\n") == 1


def test_a_dead_jvm_is_one_line(tmp_path: Path, kafka: str) -> None:
    """When the system kills the JVM, the command says so in one line and ends."""
    with LiveJob(kafka, tmp_path, "dead-jvm", 1) as job:
        job.send(job.config.vectors.topic, initial_vectors(["a", "b"], 1))
        child = job.start("--mode", "thread")
        job.wait_until_started()
        os.kill(job.jvm(), signal.SIGKILL)

        assert child.wait(30) == 2
        told = job.log.read_text().splitlines()
        assert len(told) == 3, told[-3:]
        assert "headwater run: error: the JVM that ran the job is gone (exit status -9" in told[-1]


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_pass_that_is_killed_goes_on(tmp_path: Path, kafka: str, mode: str) -> None:
    """A run until the end, killed twice, ends with --resume: no list is missing, the last ticks included, none twice.

    Resumed when all is done it adds nothing, whether it could note that or was killed just before.
    """
    log = real_log(12_000, 2)
    with LiveJob(kafka, tmp_path, f"pass-{mode}", 2, 'checkpoint_interval = "200ms"\n') as job:
        initial = initial_vectors(items_of(log), log[0].record.at_ms - 1000)
        job.send(job.config.vectors.topic, initial)
        job.send(job.config.events.topic, [sent.record for sent in log])
        lists, arguments = job.config.lists.topic, ("--until-end", "--mode", mode)
        job.start(*arguments)
        job.wait_for(lambda: bool(job.read(lists)))
        job.kill()
        seen = len(job.read(lists))
        job.start(*arguments, "--resume")
        job.wait_until_started()
        job.kill()
        begun = job.state / "until-end" / "pass.json"
        note = begun.read_bytes()

        status, told = job.run(*arguments, "--resume")

        assert (status, told.count(f"goes on from {job.state / 'until-end'}")) == (0, 1), told
        for _ in range(2):
            status, told = job.run(*arguments, "--resume")
            assert (status, told.count("was done already")) == (0, 1), told
            begun.write_bytes(note)
        expected = oracle(job.config, job.state / "vectors.safetensors", log, [Sent(each, "") for each in initial])
        assert 0 < seen
        assert_right(expected.lists, job.read(lists), expected.dead_letters, job.read(job.config.dead_letters.topic))
        assert expected.metrics == [found[:2] for found in job.read(job.config.metrics.topic)]
