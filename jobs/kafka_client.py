"""Our way to ask a Kafka broker: librdkafka's chatter is caught, and a broker that is gone is one clear error."""

import logging
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from state.errors import HeadwaterError

TIMEOUT_S = 10.0  # of one question; a broker under load answers in well under 1 s

SILENT = logging.Logger("librdkafka")  # ours alone: no handler, no parent; errors come by error_cb
SILENT.addHandler(logging.NullHandler())


class Admin:
    """An admin client that gives up: each question is answered within `timeout_s` or raises HeadwaterError."""

    def __init__(
        self, bootstrap: str, properties: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Make the client; `properties` are the job's, `ignored` then lists those that only Java clients know."""
        self.bootstrap = bootstrap
        self.timeout_s = timeout_s
        self.ignored: list[str] = []
        self._last_error = ""
        self._client = self._open(for_librdkafka(dict(properties or {})))

    def metadata(self) -> Any:
        """Return the brokers and topics (confluent_kafka's ClusterMetadata)."""
        self._require_listener()
        return self._ask(lambda: self._client.list_topics(timeout=self.timeout_s))

    def topics(self) -> dict[str, int]:
        """Return topic -> number of partitions."""
        return {name: len(topic.partitions) for name, topic in self.metadata().topics.items()}

    def topic_configs(self, topics: list[str]) -> dict[str, dict[str, str]]:
        """Return topic -> its settings, of topics that exist."""
        from confluent_kafka.admin import RESOURCE_TOPIC

        return self._configs([(RESOURCE_TOPIC, topic) for topic in topics])

    def broker_config(self) -> dict[str, str]:
        """Return the settings of one broker of the cluster."""
        from confluent_kafka.admin import RESOURCE_BROKER

        broker = str(min(self.metadata().brokers))
        return self._configs([(RESOURCE_BROKER, broker)])[broker]

    def create_topic(self, name: str, partitions: int, replication: int, settings: Mapping[str, str]) -> None:
        """Create one topic and wait until clients are told of it.

        The controller answers when the topic is recorded; the brokers, which clients ask, learn of it a moment later.
        """
        from confluent_kafka.admin import NewTopic

        topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(settings))
        made = self._client.create_topics([topic], operation_timeout=self.timeout_s, request_timeout=self.timeout_s)
        self._ask(made[name].result)
        deadline = time.monotonic() + self.timeout_s
        while not self._is_led(name, partitions):
            if time.monotonic() > deadline:
                raise HeadwaterError(
                    f"topic {name} was made at {self.bootstrap}, and after {self.timeout_s:g} s not all of its "
                    f"{partitions} partitions have a leader; look into the brokers' logs"
                )
            time.sleep(0.05)

    def _is_led(self, topic: str, partitions: int) -> bool:
        found = self.metadata().topics.get(topic)
        return (
            found is not None
            and found.error is None
            and len(found.partitions) == partitions
            and all(partition.leader >= 0 for partition in found.partitions.values())
        )

    def _configs(self, names: list[tuple[Any, str]]) -> dict[str, dict[str, str]]:
        from confluent_kafka.admin import ConfigResource

        if not names:
            return {}
        resources = [ConfigResource(kind, name) for kind, name in names]
        answers = self._client.describe_configs(resources, request_timeout=self.timeout_s)
        return {
            resource.name: {key: entry.value for key, entry in self._ask(answer.result).items()}
            for resource, answer in answers.items()
        }

    def _ask(self, question: Any) -> Any:
        """Put a question; serve the callbacks, so that the reason of a failure is known."""
        from confluent_kafka import KafkaException

        try:
            return question()
        except KafkaException as error:
            self._client.poll(0)
            raise self._clear(error.args[0]) from None

    def _require_listener(self) -> None:
        """Raise at once when no address takes a connection, which librdkafka would try again until its time is over."""
        reasons = []
        for address in self.bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=self.timeout_s).close()
            except (OSError, ValueError) as error:
                reasons.append(getattr(error, "strerror", None) or str(error))
            else:
                return
        raise self._gone(", ".join(dict.fromkeys(reasons)))

    def _gone(self, reason: str) -> HeadwaterError:
        return HeadwaterError(
            f"no Kafka broker answers at {self.bootstrap} ({reason}); "
            f"expected an answer within {self.timeout_s:g} s; "
            "start one with `headwater kafka up`, or correct kafka.bootstrap"
        )

    def _clear(self, error: Any) -> HeadwaterError:
        from confluent_kafka import KafkaError

        gone = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}
        if error.code() in gone:
            return self._gone(self._last_error or error.str())
        return HeadwaterError(f"Kafka at {self.bootstrap} refused: {error.str()} ({error.name()})")

    def _open(self, properties: dict[str, Any]) -> Any:
        """Make the client, leaving out one property after the other that librdkafka does not know."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        while True:
            # error_cb and logger: librdkafka would else print a line every 50 ms for ever when the broker is gone.
            ours = {
                "bootstrap.servers": self.bootstrap,
                "error_cb": self._remember,
                "socket.connection.setup.timeout.ms": int(max(1, self.timeout_s) * 1000),
            }
            try:
                return AdminClient({**properties, **ours}, logger=SILENT)
            except KafkaException as error:
                unknown = re.search(r'No such configuration property: "([^"]+)"', str(error))
                if not unknown or unknown[1] not in properties:
                    raise HeadwaterError(
                        f"kafka.properties are not usable ({error.args[0].str()}); correct them in job.toml"
                    ) from None
                self.ignored.append(unknown[1])
                del properties[unknown[1]]

    def _remember(self, error: Any) -> None:
        # "All brokers down" says less than the connection's own error that came before it.
        if not self._last_error or "brokers are down" not in error.str():
            text = re.sub(r" \(after \d+ms in state \w+\)$", "", error.str())
            self._last_error = text.split("/bootstrap: ")[-1]


def open_consumer(bootstrap: str, properties: Mapping[str, Any], *, group: str) -> Any:
    """Return a silent consumer of committed records that starts at the beginning and commits nothing."""
    from confluent_kafka import Consumer

    ours = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }
    return Consumer({**_known(bootstrap, properties), **ours}, logger=SILENT)


def open_producer(bootstrap: str, properties: Mapping[str, Any]) -> Any:
    """Return a silent producer that neither loses nor repeats a record while it lives."""
    from confluent_kafka import Producer

    ours = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5}
    return Producer({**_known(bootstrap, properties), **ours}, logger=SILENT)


def _known(bootstrap: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that librdkafka knows; tell in one line what is wrong with them or with the broker."""
    admin = Admin(bootstrap, properties)
    admin.metadata()
    return {key: value for key, value in for_librdkafka(dict(properties)).items() if key not in admin.ignored}


def for_librdkafka(properties: dict[str, Any]) -> dict[str, Any]:
    """Say Java's login line (sasl.jaas.config) as user name and password; the job's properties are written for Java."""
    jaas = properties.pop("sasl.jaas.config", None)
    if jaas is not None:
        for field in ("username", "password"):
            if found := re.search(rf"""{field}=(["'])(.*?)\1""", str(jaas)):
                properties.setdefault(f"sasl.{field}", found[2])
    return properties
