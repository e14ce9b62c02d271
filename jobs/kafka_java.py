"""Kafka's own admin client, out of the connector's jar: it can ask about transactions, which librdkafka's cannot."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from jobs.config import Config
from jobs.kafka_client import Admin
from state.errors import HeadwaterError

OPEN = ("Ongoing", "PrepareCommit", "PrepareAbort")
"""States in which a transaction holds back read_committed readers of its partitions."""
_loaders: list[Any] = []  # of the connector's classes, in this process's JVM
_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.Admin"


class Transaction(NamedTuple):
    """What the coordinator knows of a transactional id."""

    name: str  # the id
    state: str
    producer: int
    epoch: int
    timeout_ms: int
    open_s: float  # how long it has been open; 0 where it is not
    partitions: tuple[tuple[str, int], ...]  # topic, partition, that it has written to

    @property
    def is_open(self) -> bool:
        """Whether readers wait for it."""
        return self.state in OPEN


class JavaAdmin:
    """To be used as a context; starts this process's JVM."""

    def __init__(self, config: Config, logs: Path) -> None:
        """Connect, with the job's properties.

        Raises:
            HeadwaterError: no broker answers, or it refuses.
        """
        Admin(config.kafka.bootstrap, config.kafka.properties).metadata()  # it tells in one line what is wrong
        self._bootstrap = config.kafka.bootstrap
        self._admin = self._open(config, logs)

    def __enter__(self) -> "JavaAdmin":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()

    def transactions(self, prefix: str) -> list[Transaction]:
        """Return what is known of all ids that begin with `prefix`, by id."""
        listed = self._ask(lambda: self._admin.listTransactions().all().get())
        names = self._list(sorted(one.transactionalId() for one in listed if one.transactionalId().startswith(prefix)))
        found = self._ask(lambda: self._admin.describeTransactions(names).all().get())
        return [_read(name, found.get(name)) for name in names]

    def fence(self, names: Iterable[str]) -> None:
        """Abort the open transactions of ids, and shut out whoever wrote them."""
        self._ask(lambda: self._admin.fenceProducers(self._list(names)).all().get())

    def _ask(self, question: Any) -> Any:
        from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]  # comes with apache-flink

        from jobs.causes import root_cause

        try:
            return question()
        except Py4JJavaError as error:
            raise HeadwaterError(f"Kafka at {self._bootstrap} refused: {root_cause(error.java_exception)}") from None

    def _list(self, names: Iterable[str]) -> Any:
        listed = self._jvm.java.util.ArrayList()
        for name in names:
            listed.add(name)
        return listed

    def _open(self, config: Config, logs: Path) -> Any:
        from pyflink.java_gateway import get_gateway

        from jobs.flink_env import start_jvm
        from jobs.jars import connector_jar
        from jobs.sources import client_properties

        jar = connector_jar().as_uri()
        start_jvm(logs, live=True)
        gateway = get_gateway()
        self._jvm = jvm = gateway.jvm
        thread = jvm.Thread.currentThread()
        before = thread.getContextClassLoader()
        if not _loaders:  # one for all: py4j knows a class by its name, and would mix up two of the same
            urls = gateway.new_array(jvm.java.net.URL, 1)
            urls[0] = jvm.java.net.URL(jar)
            _loaders.append(jvm.java.net.URLClassLoader(urls, before))
        loader = _loaders[0]
        thread.setContextClassLoader(loader)  # by which the client finds its own classes
        try:
            properties = jvm.java.util.HashMap()
            for key, value in client_properties(config).items():
                properties.put(key, value)
            types = gateway.new_array(jvm.java.lang.Class, 1)
            types[0] = jvm.java.lang.Class.forName("java.util.Map")
            arguments = gateway.new_array(jvm.java.lang.Object, 1)
            arguments[0] = properties
            return self._ask(lambda: loader.loadClass(_SHADED).getMethod("create", types).invoke(None, arguments))
        finally:
            thread.setContextClassLoader(before)


def _read(name: str, found: Any) -> Transaction:
    since = found.transactionStartTimeMs()
    return Transaction(
        name,
        str(found.state().toString()),
        int(found.producerId()),
        int(found.producerEpoch()),
        int(found.transactionTimeoutMs()),
        max(0.0, time.time() - since.getAsLong() / 1000) if since.isPresent() else 0.0,
        tuple(sorted((str(each.topic()), int(each.partition())) for each in found.topicPartitions())),
    )
