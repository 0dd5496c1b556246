"""Connections of the store's scripts: cuts, interrupts, forks."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from valkey_server import ValkeyServer

from router.errors import SettingsError
from workers.broker import Connections, connect
from workers.service_settings import BrokerSettings


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    made = ValkeyServer().start()
    yield made
    made.stop()


def test_a_call_after_a_restart_connects_again_and_no_other_connection_is_left_broken(server: ValkeyServer) -> None:
    connections = Connections(connect(BrokerSettings(url=server.url)))
    barrier = threading.Barrier(3)

    def hold() -> None:
        barrier.wait()
        assert connections.call("EVAL", "for i = 1, 2000000 do end return 7", 0) == 7

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    barrier.wait()
    for thread in threads:
        thread.join()
    server.restart()
    with pytest.raises(redis.ConnectionError):
        connections.call("PING")
    assert connections.call("PING") == "PONG"


def test_an_interrupt_between_command_and_answer_leaves_no_answer_for_the_next(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(connect(BrokerSettings(url=server.url)))
    assert connections.call("PING") == "PONG"

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(redis.Connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            connections.call("ECHO", "first")
    assert connections.call("ECHO", "second") == "second"


def test_an_error_of_the_server_leaves_the_connection_in_order(server: ValkeyServer) -> None:
    connections = Connections(connect(BrokerSettings(url=server.url)))
    with pytest.raises(redis.ResponseError):
        connections.call("EVALSHA", "0" * 40, 0)
    assert connections.call("ECHO", "next") == "next"


def test_a_forked_process_uses_no_connection_of_its_parent(server: ValkeyServer) -> None:
    connections = Connections(connect(BrokerSettings(url=server.url)))
    own = int(connections.call("CLIENT", "ID"))
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.write(write_end, str(connections.call("CLIENT", "ID")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(read_end, 20)) != own
    assert connections.call("CLIENT", "ID") == own
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("url", ["unix:///run/valkey.sock", "http://host", "host:6379", "redis://host:hunter2/0"])
def test_a_url_that_celery_could_not_use_is_refused_with_the_right_forms_and_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsError, match="write redis://HOST:PORT/DB, rediss:// for TLS, or sentinel://") as told:
        connect(BrokerSettings(url=url))
    assert "hunter2" not in str(told.value)
