"""The development broker is a real one: it keeps what it acknowledged through a crash, and stops only itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.broker import HOST, Broker, free_port, steady_port
from jobs.cli import main
from jobs.kafka_client import Admin
from jobs.kafka_features import finalized_features
from state.errors import HeadwaterError

LARGEST = 8 << 20  # bytes of an event that must get through


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own: its tests kill it."""
    with Broker(tmp_path_factory.mktemp("broker"), free_port()) as broker:
        yield broker


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Write `values` in one transaction and wait for the commit."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic, "message.max.bytes": 2 * LARGEST})
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value)
    producer.commit_transaction(30)


def consume(bootstrap: str, topic: str, n: int) -> list[bytes]:
    """Read `n` committed values of a topic with one partition."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < n and time.monotonic() < deadline:
        values += [message.value() for message in consumer.consume(n, timeout=1) if message.error() is None]
    consumer.close()
    return values


@pytest.mark.kafka
def test_survives_a_crash(broker: Broker) -> None:
    """What was committed before SIGKILL is read after the restart, an event of 8 MiB included."""
    values = [b"small", b"x" * LARGEST]
    admin = Admin(broker.bootstrap)
    admin.create_topic("crash", 1, 1, {"max.message.bytes": str(LARGEST + 1024)})
    produce(broker.bootstrap, "crash", values)
    assert consume(broker.bootstrap, "crash", 2) == values
    before = broker.pid()
    broker.kill()
    assert broker.pid() is None
    assert not broker.answers(timeout_s=1)
    assert broker.start()
    assert broker.pid() != before
    assert consume(broker.bootstrap, "crash", 2) == values


@pytest.mark.kafka
def test_is_what_the_job_needs(broker: Broker) -> None:
    """Exactly-once of the newest kind, the limits for transactions and sizes, no topics by accident, one address."""
    assert finalized_features(broker.bootstrap)["transaction.version"] >= 2
    config = Admin(broker.bootstrap).broker_config()
    assert config["transaction.max.timeout.ms"] == "900000"
    assert int(config["message.max.bytes"]) >= LARGEST
    assert config["auto.create.topics.enable"] == "false"
    assert {part.split("://")[1].split(":")[0] for part in config["listeners"].split(",")} == {HOST}


@pytest.mark.kafka
def test_up_twice_says_so(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """`up` of a running broker starts no second one and is no failure."""
    arguments = ["--port", str(broker.port), "--dir", str(broker.folder)]
    assert main(["kafka", "up", *arguments]) == 0
    assert f"was already running at {broker.bootstrap} (pid {broker.pid()}" in capsys.readouterr().out
    assert main(["kafka", "status", *arguments]) == 0
    assert "Kafka 4.2.0 is up at" in capsys.readouterr().out


@pytest.mark.kafka
def test_same_folder_other_port(broker: Broker) -> None:
    """One folder is one broker: asking for another port names the one it has."""
    with pytest.raises(HeadwaterError, match=f"is running on port {broker.port}; asked for port {broker.port + 1}"):
        Broker(broker.folder, broker.port + 1).start()


@pytest.mark.kafka
def test_outlives_up_and_stops_by_down(tmp_path: Path) -> None:
    """`headwater kafka up` ends while its broker goes on; `down` from another process ends it."""
    port = str(free_port())
    command = [sys.executable, "-m", "jobs.cli", "kafka"]
    arguments = ["--port", port, "--dir", str(tmp_path)]
    up = subprocess.run([*command, "up", *arguments], capture_output=True, text=True, check=False)
    try:
        assert up.returncode == 0, up.stderr
        broker = Broker(tmp_path, int(port))
        assert broker.answers()
    finally:
        down = subprocess.run([*command, "down", *arguments], capture_output=True, text=True, check=False)
    assert (down.returncode, "is stopped" in down.stdout) == (0, True)
    assert broker.pid() is None
    status = subprocess.run([*command, "status", *arguments], capture_output=True, text=True, check=False)
    assert (status.returncode, "is not running" in status.stdout) == (1, True)


@pytest.mark.kafka
def test_death_at_start_shows_the_log(tmp_path: Path) -> None:
    """A broker that cannot start is one error with the end of its log, not a wait for the time limit."""
    broker = Broker(tmp_path, free_port())
    broker.start()
    broker.stop()
    (tmp_path / "data" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=77\n")
    started = time.monotonic()
    with pytest.raises(HeadwaterError) as error:
        broker.start()
    assert time.monotonic() - started < 60
    assert "died while starting" in str(error.value)
    assert "node id" in str(error.value)
    assert broker.pid() is None


def test_occupied_port_is_named(tmp_path: Path) -> None:
    """A port that another program holds is told before any Java starts."""
    with socket.socket() as occupant:
        occupant.bind((HOST, 0))
        occupant.listen()
        port = occupant.getsockname()[1]
        with pytest.raises(HeadwaterError, match=f"port {port} of {HOST} cannot be used.*--port"):
            Broker(tmp_path, port).start()
    assert list(tmp_path.iterdir()) == []


def test_port_out_of_range_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port number that cannot be is a user's mistake, not a traceback."""
    assert main(["kafka", "up", "--port", "70000", "--dir", str(tmp_path)]) == 2
    assert "port 70000" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["up", "down", "status"])
@pytest.mark.parametrize("given", ["--dir", "HEADWATER_CACHE"])
def test_a_folder_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, action: str
) -> None:
    """`up` says so in one line; nothing runs there, which the other two say."""
    monkeypatch.setattr("jobs.broker.broker_classpath", list)
    monkeypatch.setenv("HEADWATER_CACHE", "/dev/null/x")
    more = ["--dir", "/dev/null/x"] if given == "--dir" else []

    status = main(["kafka", action, "--port", str(free_port()), *more])

    out, err = capsys.readouterr()
    assert status == {"up": 2, "down": 0, "status": 1}[action]
    expected = {"up": "error: cannot keep a broker in /dev/null/x", "down": "was not running", "status": "not running"}
    assert expected[action] in out + err


def test_down_without_a_broker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`down` where nothing runs says so and is no failure."""
    assert main(["kafka", "down", "--port", "9", "--dir", str(tmp_path)]) == 0
    assert "was not running" in capsys.readouterr().out


def test_down_never_ends_a_stranger(tmp_path: Path) -> None:
    """A pid file whose number passed to another process ends nobody."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "broker.pid").write_text(f'{{"pid": {stranger.pid}, "port": 9}}')
        assert Broker(tmp_path, 9).stop() is False
        assert stranger.poll() is None
    finally:
        os.kill(stranger.pid, signal.SIGKILL)
        stranger.wait()


@pytest.mark.skipif(not Path("/proc/sys/net/ipv4").exists(), reason="asks /proc which ports the system gives away")
def test_a_steady_port_is_nobodys() -> None:
    """The system gives it to no client: a server can come back to it."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = {steady_port() for _ in range(20)}
    assert len(ports) > 10
    assert [port for port in ports if low <= port <= high] == []


def test_gone_broker_is_one_quiet_error(capfd: pytest.CaptureFixture[str]) -> None:
    """A question to a broker that is gone ends in one error; librdkafka prints nothing."""
    started = time.monotonic()
    with pytest.raises(HeadwaterError, match=r"no Kafka broker answers at 127\.0\.0\.1:9 .*headwater kafka up"):
        Admin("127.0.0.1:9", timeout_s=1).topics()
    assert time.monotonic() - started < 5
    assert capfd.readouterr() == ("", "")
