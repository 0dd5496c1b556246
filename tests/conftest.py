"""Fixtures that several test files share."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from store_world import RETENTION, World
from valkey_server import ValkeyServer
from worker_processes import ServiceProcesses, Start

from workers.broker import Server
from workers.service_settings import BrokerSettings
from workers.store_memory import MemoryStore
from workers.store_redis import RedisStore

_PREFIXES = itertools.count()
if "PYTEST_XDIST_WORKER" in os.environ:
    # the parts of a run share the cores: more threads in each would only get in each other's way
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# the same examples in every run, and no look at the clock
settings.register_profile(
    "docroute", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("docroute")
# a shell lets what it starts in the background ignore Ctrl-C, and so would every process that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def service(tmp_path: Path, broker_settings: BrokerSettings) -> Iterator[Start]:
    """Makes a service of real worker processes, which end with the test."""
    made: list[ServiceProcesses] = []

    def make(*script: dict[str, Any], broker: BrokerSettings = broker_settings, **variables: str) -> ServiceProcesses:
        made.append(ServiceProcesses(tmp_path, broker, list(script), **variables))
        return made[-1]

    yield make
    for processes in made:
        processes.stop()


@pytest.fixture(params=["memory", "redis"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Every store in turn."""
    if request.param == "memory":
        clock = [1_000_000.0]

        def pass_time(seconds: float) -> None:
            clock[0] += seconds

        yield World(MemoryStore(RETENTION, clock=lambda: clock[0]), pass_time)
        return
    broker: BrokerSettings = request.getfixturevalue("broker_settings")
    store = RedisStore(Server(broker), RETENTION)
    yield World(store, time.sleep)
    store.close()


@pytest.fixture(scope="session")
def tiny_internvl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an InternVL3 as published, with tiny weights and tiles of 56 pixels; not to be written to."""
    pytest.importorskip("torch", reason="the extra 'vlm' is not installed")
    from benchmarks.checkpoints.internvl import make_internvl

    return make_internvl(tmp_path_factory.mktemp("internvl"))


@pytest.fixture(scope="session")
def tiny_llama_vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Llama-3.2-Vision as published, with tiny weights and tiles of 56 pixels; not to be written to."""
    pytest.importorskip("torch", reason="the extra 'vlm' is not installed")
    from benchmarks.checkpoints.llama_vision import make_llama_vision

    return make_llama_vision(tmp_path_factory.mktemp("llama_vision"))


@pytest.fixture
def tiny_models(tiny_internvl: Path, tiny_llama_vision: Path) -> dict[str, str]:
    """The variables of commands that read with models: tiny checkpoints on the CPU in place of the real ones."""
    options = {"device": "cpu", "slots": 2, "slot_tokens": 4096, "answer_tokens": 40}
    folders = {"INTERNVL3": tiny_internvl, "LLAMA_VISION": tiny_llama_vision}
    return {
        f"DOCROUTE_LANES__OPTIONS__{name}__{option.upper()}": str(value)
        for name, folder in folders.items()
        for option, value in {**options, "checkpoint": folder}.items()
    }
