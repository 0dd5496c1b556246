"""Malformed messages where the transport meets them: taken from a queue, given back, held; on a real server."""

import contextlib
import json
from queue import Empty

import pytest
import redis
from kombu import Connection

from benchmarks.malformed_messages import good, raw
from workers.broker import Server
from workers.quarantine import Quarantine
from workers.transport import use_repaired_transport
from workers.transport_checks import CheckedChannel

pytestmark = pytest.mark.redis


@pytest.fixture
def checked(broker_settings):
    """A channel that takes messages of the service from the queue `fast`."""
    use_repaired_transport()
    prefix = broker_settings.key_prefix
    options = {"global_keyprefix": prefix, "door": "workers.incoming:read_message", "visibility_timeout": 1}
    with Connection(broker_settings.url, transport_options=options) as connection:
        channel = connection.channel()
        channel.taken = []
        channel.basic_consume("fast", False, channel.taken.append, "consumer")
        channel.client.connection = channel.client.connection_pool.get_connection()  # as kombu's loop does it
        yield channel


@pytest.fixture
def quarantine(broker_settings):
    made = Quarantine(Server(broker_settings))
    yield made
    made.close()


def send(channel, message, queue="fast"):
    """Put a raw message into a queue and let the channel take it."""
    channel.client.lpush(queue, message)
    channel._brpop_start()
    with contextlib.suppress(Empty):
        channel._brpop_read()


def note(channel, tag, note):
    """Write a note that a worker took a message long ago."""
    with channel.conn_or_acquire() as client:
        client.hset("unacked", tag, note)
        client.zadd("unacked_index", {tag: 1.0})


def test_a_malformed_message_is_put_aside_and_never_noted(checked, quarantine):
    send(checked, b"5")
    send(checked, raw(good("docroute.fast", [5])))
    send(checked, raw(good("docroute.fast", ["job1"])))
    (message,) = checked.taken
    assert message.decode() == [["job1"], {}, {}]
    assert [len(kept.raw) > 1 for kept in quarantine.messages()] == [True, False]
    assert checked.client.hlen("unacked") == 1


def test_messages_with_one_tag_are_noted_apart(checked):
    send(checked, raw(good("docroute.fast", ["job1"])))
    send(checked, raw(good("docroute.fast", ["job2"])))
    assert checked.client.hlen("unacked") == 2


def test_a_message_that_could_not_be_put_aside_yet_is_when_the_server_is_back(checked, quarantine, monkeypatch):
    with monkeypatch.context() as away:

        def is_away(*_):
            raise redis.ConnectionError("away")

        away.setattr("workers.transport_checks.put_aside", is_away)
        with pytest.raises(redis.ConnectionError):
            send(checked, b"5")
    assert quarantine.count() == 0
    checked._brpop_start()
    assert [kept.raw for kept in quarantine.messages()] == [b"5"]
    assert not CheckedChannel._in_hand


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"5",
        b"not json",
        b"\xff",
        b"[" * 50_000,
        b"[1, 2]",
        b"[5, 6, 7]",
        json.dumps([None, "", "fast"]).encode(),
        json.dumps([good("docroute.fast", ["job1"]), "", 5]).encode(),
        json.dumps([good("docroute.fast", ["job1"]), "", "elsewhere"]).encode(),
        json.dumps([good("docroute.fast", ["job1"], compression="rot13"), "x", "fast"]).encode(),
    ],
)
def test_a_note_that_is_none_keeps_no_other_message_from_being_given_back(checked, quarantine, garbage):
    note(checked, "garbage", garbage)
    note(checked, "good", json.dumps([good("docroute.fast", ["job1"]), "no such exchange", "fast"]).encode())
    with checked.conn_or_acquire() as client:
        client.zadd("unacked_index", {"noted nowhere": 1.0})
    checked.qos.restore_visible()
    assert checked.client.llen("fast") == 1
    assert quarantine.count() == 1
    assert checked.client.hlen("unacked") == checked.client.zcard("unacked_index") == 0


@pytest.mark.parametrize("tag", [b"\xff", b"two\nlines", 600 * b"x"])
def test_a_note_under_a_tag_that_no_worker_gives_is_dealt_with_too(checked, quarantine, tag):
    note(checked, tag, b"garbage")
    checked.qos.restore_visible(interval=1)
    note(checked, tag, json.dumps([good("docroute.fast", ["job1"]), "", "fast"]).encode())
    checked.qos.restore_visible(interval=1)
    assert checked.client.llen("fast") == 1
    assert quarantine.count() == 1
    assert checked.client.hlen("unacked") == checked.client.zcard("unacked_index") == 0


def test_a_message_given_back_lies_where_it_came_from_and_can_be_taken_again(checked):
    send(checked, raw(good("docroute.fast", ["job1"])), "fast\x06\x163")
    (first,) = checked.taken
    first.requeue()
    assert checked.client.llen("fast\x06\x163") == 1
    checked._brpop_start()
    checked._brpop_read()
    assert checked.taken[1].decode() == first.decode()


def test_a_message_that_celery_stumbles_over_is_put_aside_with_its_note(checked, quarantine):
    send(checked, raw(good("docroute.fast", ["job1"])))
    (message,) = checked.taken
    checked.put_aside_held(message, "Celery cannot take it")
    assert [kept.reason for kept in quarantine.messages()] == ["Celery cannot take it"]
    assert checked.client.hlen("unacked") == checked.client.zcard("unacked_index") == 0
    assert message.acknowledged
    assert checked.qos.can_consume()
