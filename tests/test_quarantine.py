"""Messages that were put aside, on a real server: bounded, kept on a full one, sent again, dropped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from service_work import fake_settings
from valkey_server import ValkeyServer

from router.errors import MessageError
from workers.broker import Server, connect
from workers.doctor import examine
from workers.metrics_queues import QueueMetrics
from workers.quarantine import MOST_MESSAGES, MOST_RAW_BYTES, Quarantine, make_entry, put_aside
from workers.queue_watch import QueueWatch
from workers.service_settings import BrokerSettings
from workers.store_redis import make_store

pytestmark = pytest.mark.redis


@pytest.fixture
def client(broker_settings: BrokerSettings) -> Iterator[redis.Redis]:
    made = connect(broker_settings)
    yield made
    made.close()


@pytest.fixture
def quarantine(broker_settings: BrokerSettings) -> Iterator[Quarantine]:
    made = Quarantine(Server(broker_settings))
    yield made
    made.close()


def add(client: redis.Redis, broker: BrokerSettings, raw: bytes = b"5", **more: Any) -> bool:
    return put_aside(client, broker.key_prefix, make_entry(raw, "intake", "it is no object", **more))


def test_a_message_is_kept_as_it_came_with_what_is_known_of_it(
    client: redis.Redis, quarantine: Quarantine, broker_settings: BrokerSettings
) -> None:
    assert add(client, broker_settings, b"\xff\x00\n5", sender="gen7@upstream\n", task="docroute.fast")
    (message,) = quarantine.messages()
    assert (message.raw, message.size_bytes, message.queue, message.is_cut) == (b"\xff\x00\n5", 4, "intake", False)
    assert (message.reason, message.sender, message.task) == ("it is no object", "gen7@upstream", "docroute.fast")
    assert message.at > 1e9
    assert quarantine.get(message.id) == message
    assert quarantine.count() == 1


def test_the_same_entry_again_is_kept_once(
    client: redis.Redis, quarantine: Quarantine, broker_settings: BrokerSettings
) -> None:
    entry = make_entry(b"5", "intake", "x")
    assert put_aside(client, broker_settings.key_prefix, entry)
    assert not put_aside(client, broker_settings.key_prefix, entry)
    assert quarantine.count() == 1


def test_the_newest_are_kept_and_of_each_its_beginning(
    client: redis.Redis, quarantine: Quarantine, broker_settings: BrokerSettings
) -> None:
    for number in range(MOST_MESSAGES + 5):
        add(client, broker_settings, b"%d" % number)
    add(client, broker_settings, b"x" * (MOST_RAW_BYTES + 1))
    kept = quarantine.messages(2 * MOST_MESSAGES)
    assert quarantine.count() == len(kept) == client.hlen(f"{broker_settings.key_prefix}mh") == MOST_MESSAGES
    assert (len(kept[0].raw), kept[0].is_cut) == (MOST_RAW_BYTES, True)
    assert {b"5", b"0"}.isdisjoint(message.raw for message in kept)
    assert kept[-1].raw == b"6"


def test_a_message_is_sent_again_as_it_came_and_a_cut_one_is_not(
    client: redis.Redis, quarantine: Quarantine, broker_settings: BrokerSettings
) -> None:
    add(client, broker_settings, b"\xff5")
    (message,) = quarantine.messages()
    assert quarantine.send_again(message.id)
    assert not quarantine.send_again(message.id)
    with redis.Redis.from_url(broker_settings.url) as bytewise:
        assert bytewise.lrange(f"{broker_settings.key_prefix}intake\x06\x163", 0, -1) == [b"\xff5"]
    add(client, broker_settings, b"x" * (MOST_RAW_BYTES + 1))
    with pytest.raises(MessageError, match="only 16,384 of its 16,385 bytes"):
        quarantine.send_again(quarantine.messages()[0].id)
    assert quarantine.drop(quarantine.messages()[0].id)
    put_aside(client, broker_settings.key_prefix, make_entry(b"5", "\ud800" + 600 * "x", "a note made it up"))
    with pytest.raises(MessageError, match="no queue of the service"):
        quarantine.send_again(quarantine.messages()[0].id)
    assert quarantine.drop(quarantine.messages()[0].id)
    assert not quarantine.drop("unknown")
    assert quarantine.count() == 0


def test_a_message_that_a_worker_holds_goes_in_one_step_with_the_note_of_that(
    client: redis.Redis, quarantine: Quarantine, broker_settings: BrokerSettings
) -> None:
    prefix = broker_settings.key_prefix
    client.hset(f"{prefix}unacked", "tag", "note")
    client.zadd(f"{prefix}unacked_index", {"tag": 1.0, "gone": 1.0})
    assert add(client, broker_settings, tag="tag")
    assert not add(client, broker_settings, tag="gone"), "it is in its queue again, from where it is taken again"
    assert quarantine.count() == 1
    assert not client.exists(f"{prefix}unacked", f"{prefix}unacked_index")


def test_a_full_server_keeps_it_too(valkey_server: ValkeyServer) -> None:
    broker = BrokerSettings(url=valkey_server.url)
    with valkey_server.client() as client:
        client.config_set("maxmemory", "100kb")
        with pytest.raises(redis.ResponseError):
            client.set("x", "y")
        assert add(client, broker)
    quarantine = Quarantine(Server(broker))
    assert [message.raw for message in quarantine.messages()] == [b"5"]
    quarantine.close()


def test_doctor_and_metrics_tell_of_them(client: redis.Redis, broker_settings: BrokerSettings, tmp_path: Path) -> None:
    settings = fake_settings(broker_settings, tmp_path)
    assert {check.name: check.state for check in examine(settings)}["messages"] == "ok"
    add(client, broker_settings)
    found = {check.name: check for check in examine(settings)}["messages"]
    assert (found.state, found.detail) == ("warn", "1 were put aside, the last for intake: it is no object")
    assert "docroute dead list --messages" in found.advice
    store = make_store(settings.service)
    watch = QueueWatch(broker_settings, store)
    registry = QueueMetrics(watch.look).registry
    assert registry.get_sample_value("docroute_messages_put_aside_total") == 1
    assert registry.get_sample_value("docroute_messages_aside") == 1
    watch.close()
    store.close()
