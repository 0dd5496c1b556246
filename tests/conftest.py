"""Fixtures that several test files share."""

import itertools
from collections.abc import Iterator

import pytest
from valkey_server import ValkeyServer

from workers.service_settings import BrokerSettings

_PREFIXES = itertools.count()


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of one server for all tests; use `broker_settings`, or a prefix of your own."""
    server = ValkeyServer().start()
    yield server.url
    server.stop()


@pytest.fixture
def broker_settings(valkey_url: str) -> BrokerSettings:
    """The session's server with keys that no other test has."""
    return BrokerSettings(url=valkey_url, key_prefix=f"test{next(_PREFIXES)}:")


@pytest.fixture
def valkey_server() -> Iterator[ValkeyServer]:
    """A server for one test to kill and restart; it keeps its data in an append-only file."""
    server = ValkeyServer(append_only=True).start()
    yield server
    server.stop()
