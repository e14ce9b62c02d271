"""A real Kafka broker for the tests that ask for one; started once, on first use."""

from collections.abc import Iterator

import pytest

from jobs.broker import Broker, free_port


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield "127.0.0.1:PORT" of a broker shared by the whole run: a test gives its topics names of their own."""
    with Broker(tmp_path_factory.mktemp("kafka"), free_port()) as broker:
        yield broker.bootstrap
