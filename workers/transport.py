"""Kombu's transport for Redis, with repairs. Knows connections, and nothing of jobs.

When a server goes away while threads of a pool acknowledge messages, kombu may use a channel whose connection is
closed already. It then fails with an AttributeError, which Celery takes for the end of the worker instead of a lost
connection. Here that is a lost connection too, after which the worker connects again.

When a server has no memory left, it still gives messages out, but refuses the note that a worker has them, and takes
none back: the message is gone, and the error ends the worker. Here both are done by scripts that a full server runs;
they only put back what was taken out a moment before.

The note that a worker has a message goes when it is done. Here it goes with the note of the next message or after a
moment, and costs no trip of its own; a message whose note a dying worker leaves comes once more, and does no harm.

Told nothing of certificates, kombu takes any. Here a channel with TLS that would not verify does not connect.

The note says when a worker took the message. Here that is the server's time, by which all workers judge its age: by
their own clocks, one that is ahead would give out again what others work on.

For every single command kombu makes a new client object, which costs more than the command. Here a channel keeps one.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis

from router.errors import SettingsError
from workers.server_clock import ServerClock
from workers.transport_checks import CheckedChannel, CheckedQoS

_NAME = "workers.transport:Transport"
_SENTINEL = "workers.transport_sentinel:SentinelTransport"
_GATHER_S = 0.05
# A full server lets a script write that has removed something first, whether or not there was anything to remove.
_NOTE = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
"""
_PUSH = """
redis.call('ZREM', KEYS[2], '')
return redis.call(ARGV[1], KEYS[1], ARGV[2])
"""


class QoS(CheckedQoS):
    """Notes what a worker has, on a full server too, and takes notes back together where a loop can wait a moment."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._done: list[str] = []
        self._clock = ServerClock()
        self._removal_is_due = False

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that this worker has a message, and remove the notes that wait for it."""
        where, done = message.delivery_info, self._take_done()
        kept = json.dumps([message._raw, where["exchange"], where["routing_key"]])
        try:
            with self.pipe_or_acquire() as pipe:
                pipe.zadd(self.unacked_index_key, {delivery_tag: time.time() - self._ahead_s()})
                pipe.hset(self.unacked_key, delivery_tag, kept)
                self._remove(pipe, done).execute()
        except redis.OutOfMemoryError:
            self._done += done
            self._note(kept, delivery_tag)
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Take the note of a message back, with the next message's note or in a moment."""
        loop = getattr(self.channel.connection, "loop", None)  # there is no connection once the channel is closed
        if loop is None:
            super().ack(delivery_tag)
            return
        self._done.append(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        if not self._removal_is_due:
            self._removal_is_due = True
            loop.call_soon(loop.call_later, _GATHER_S, self.remove_done)

    def remove_done(self) -> None:
        """Remove the notes of all messages that are done with; those of a closed channel come again, as ever."""
        self._removal_is_due = False
        if (done := self._take_done()) and self.channel.connection is not None:
            try:
                with self.pipe_or_acquire() as pipe:
                    self._remove(pipe, done).execute()
            except redis.RedisError:
                self._done += done
                raise

    def restore_unacked_once(self, *args: Any, **options: Any) -> None:
        """Give back what was not done, when the channel closes."""
        with contextlib.suppress(redis.RedisError, OSError):
            self.remove_done()
        super().restore_unacked_once(*args, **options)

    @property
    def visibility_timeout(self) -> float:
        """How old by this machine's clock a note is whose message is given out again; notes have the server's times."""
        return float(self.channel.visibility_timeout) + self._ahead_s()

    def _ahead_s(self) -> float:
        with self.channel.conn_or_acquire() as client:
            return self._clock.ahead_s(client.time)

    def _take_done(self) -> list[str]:
        done = self._done[:]
        del self._done[: len(done)]  # what another thread adds meanwhile stays
        return done

    def _remove(self, pipe: Any, done: list[str]) -> Any:
        if done:
            pipe.zrem(self.unacked_index_key, *done)
            pipe.hdel(self.unacked_key, *done)
        return pipe

    def _note(self, kept: str, delivery_tag: str) -> None:
        keys = [self.channel.global_keyprefix + key for key in (self.unacked_index_key, self.unacked_key)]
        with self.channel.conn_or_acquire() as client:
            client.eval(_NOTE, 2, *keys, delivery_tag, time.time() - self._ahead_s(), kept)


class _Pushes:
    """Takes the place of a pipeline for pushes alone, which a full server takes too."""

    def __init__(self, pipe: Any, key_prefix: str, index_key: str) -> None:
        self._pipe = pipe
        self._key_prefix = key_prefix
        self._index_key = index_key

    def lpush(self, key: str, value: str) -> None:
        """Put in front."""
        self._push("LPUSH", key, value)

    def rpush(self, key: str, value: str) -> None:
        """Put at the end."""
        self._push("RPUSH", key, value)

    def _push(self, command: str, key: str, value: str) -> None:
        keys = self._key_prefix + key, self._key_prefix + self._index_key
        self._pipe.eval(_PUSH, len(keys), *keys, command, value)


class Channel(CheckedChannel):
    """A channel that keeps its client, says so when its connection is gone, and loses nothing on a full server."""

    QoS = QoS
    _kept: tuple[Any, Any] = (None, None)

    def _do_restore_message(
        self, payload: Any, exchange: str, routing_key: str, pipe: Any, leftmost: bool = False
    ) -> None:
        pushes = _Pushes(pipe, self.global_keyprefix, self.unacked_index_key)
        super()._do_restore_message(payload, exchange, routing_key, pushes, leftmost)

    def _connparams(self, *args: Any, **options: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise redis.ConnectionError("the connection of this channel is closed")
        params = super()._connparams(*args, **options)
        if params.get("ssl_cert_reqs", ssl.CERT_REQUIRED) != ssl.CERT_REQUIRED:
            raise SettingsError("a connection with TLS must verify its server; see service.broker.ca_file")
        return params

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:  # it holds one connection for itself and must not be shared
            return super()._create_client(asynchronous)
        pool, client = self._kept
        if client is None or pool is not self.pool:
            client = super()._create_client()
            self._kept = self.pool, client
        return client


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """The transport with that channel."""

    Channel = Channel
    loop: Any = None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Read messages in a loop."""
        self.loop = loop
        super().register_with_event_loop(connection, loop)


def use_repaired_transport() -> None:
    """Let this process's brokers `redis://`, `rediss://` and `sentinel://` use it, from its first connection on."""
    TRANSPORT_ALIASES.update({"redis": _NAME, "rediss": _NAME, "sentinel": _SENTINEL})
