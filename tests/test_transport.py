"""The transport's notes of messages that a worker has, on a real server."""

import contextlib
import time

import pytest
import redis
from kombu import Connection

from router.errors import SettingsError
from workers.transport import use_repaired_transport


class Loop:
    """An event loop that keeps what it is to call later."""

    def __init__(self):
        self.later = []

    def call_soon(self, call, *arguments):
        """Call at once."""
        call(*arguments)

    def call_later(self, delay_s, call):
        """Keep."""
        self.later.append(call)


@pytest.fixture
def channel(valkey_url):
    use_repaired_transport()
    with Connection(valkey_url) as connection:
        channel = connection.channel()
        channel.client.delete("unacked", "unacked_index", "q")
        yield channel


def take(channel, queue, body):
    """Send a message, take it, and return it."""
    channel.basic_publish(channel.prepare_message(body), "", queue)
    return channel.basic_get(queue)


def test_the_notes_of_messages_that_are_done_go_with_the_next_message(channel):
    channel.connection.loop = loop = Loop()
    first, second = take(channel, "q", "1"), take(channel, "q", "2")
    first.ack()
    second.ack()
    assert channel.client.hlen("unacked") == 2
    assert len(loop.later) == 1
    third = take(channel, "q", "3")
    assert channel.client.hkeys("unacked") == [third.delivery_tag.encode()]
    assert channel.client.zcard("unacked_index") == 1


def test_the_notes_go_after_a_moment_when_no_message_comes(channel):
    channel.connection.loop = loop = Loop()
    take(channel, "q", "1").ack()
    loop.later[0]()
    assert channel.client.hlen("unacked") == channel.client.zcard("unacked_index") == 0


def test_what_is_done_is_not_given_back_when_the_channel_closes(channel):
    channel.connection.loop = Loop()
    client = channel.client
    done, held = take(channel, "q", "done"), take(channel, "q", "held")
    done.ack()
    channel.close()
    assert client.hlen("unacked") == 0
    assert client.llen("q") == 1
    assert client.delete("q") == 1
    assert held.delivery_tag != done.delivery_tag


def test_an_acknowledgement_on_a_closed_channel_does_not_fail_for_want_of_its_connection(channel):
    channel.connection.loop = loop = Loop()
    first, second = take(channel, "q", "1"), take(channel, "q", "2")
    first.ack()
    channel.close()
    assert channel.connection is None
    loop.later[0]()
    with contextlib.suppress(redis.ConnectionError):  # a lost connection is what Celery expects
        channel.qos.ack(second.delivery_tag)


def test_a_channel_with_tls_that_would_verify_nothing_does_not_connect():
    use_repaired_transport()
    with Connection("rediss://127.0.0.1:1/0") as connection, pytest.raises(SettingsError, match="must verify"):
        connection.connect()


@pytest.mark.parametrize("days", [-40, 40])
def test_a_worker_whose_clock_is_off_gives_out_again_only_what_is_old(channel, monkeypatch, days):
    right = time.time
    for place in ("time.time", "kombu.transport.redis.time"):
        monkeypatch.setattr(place, lambda: right() + days * 86400.0)
    held = take(channel, "q", "1")
    (at,) = [score for _, score in channel.client.zrange("unacked_index", 0, -1, withscores=True)]
    assert at == pytest.approx(right(), abs=60)
    channel.qos.restore_visible(interval=1)
    assert channel.client.llen("q") == 0
    channel.client.zadd("unacked_index", {held.delivery_tag: right() - channel.visibility_timeout - 60})
    channel.qos.restore_visible(interval=1)
    assert channel.client.llen("q") == 1
    channel.client.delete("q", "unacked", "unacked_index")
