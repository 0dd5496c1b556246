"""Messages checked where they enter kombu's channel for Redis. Knows connections; what a message must be, a function
tells that the transport option `door` names (`workers.incoming.read_message`).

Kombu decodes what comes from a queue, notes that the worker has it, and gives it to Celery. What it cannot decode ends
the worker, and with the note the message goes back in front of its queue, so that the next worker ends too. Here a
message is checked before all that. Celery is given what the check wrote, and what is malformed is put aside. The same
check stands where messages that a worker had are given back, because whoever can write may have written those notes.

Without a door nothing is checked, as for clients that read no queue of the service.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from functools import cached_property
from queue import Empty
from typing import TYPE_CHECKING, Any, ClassVar

import redis
from celery.utils.imports import symbol_by_name
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps

from workers.envelope import noted_message
from workers.quarantine import Entry, make_entry, put_aside
from workers.store_codec import one_line

if TYPE_CHECKING:
    from workers.incoming import Incoming

MOST_IN_HAND = 1000
"""Malformed messages that wait for a server that went away while they were put aside."""
# A full server lets a script write that has removed something.
_GIVE_BACK = """
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
return redis.call(ARGV[2], KEYS[3], ARGV[3])
"""
_LOG = logging.getLogger(__name__)
# what the way to the server causes, and no message
_NOT_THE_MESSAGE = (redis.RedisError, OSError, Empty)


class CheckedQoS(kombu_redis.QoS):  # type: ignore[misc]
    """Gives messages back only where they can be taken again."""

    def restore_by_tag(self, tag: str | bytes, client: Any = None, leftmost: bool = False) -> None:
        """Put a message that a worker has back into the queue it came from, or aside; raise `redis.RedisError`."""
        channel = self.channel
        if channel.door is None:
            super().restore_by_tag(tag, client, leftmost)
            return
        with channel.conn_or_acquire(client) as client:
            kept = client.hget(self.unacked_key, tag)
            raw, queue = noted_message(kept or b"")
            incoming = None if kept is None else channel.check(raw, queue, 0)
            if incoming is None or incoming.payload is None or not incoming.task:
                channel.put_aside_noted(tag, raw, queue, incoming)
                return
            target = channel._q_for_pri(queue, _priority(raw))
            keys = [channel.global_keyprefix + key for key in (self.unacked_index_key, self.unacked_key, target)]
            client.eval(_GIVE_BACK, len(keys), *keys, tag, "LPUSH" if leftmost else "RPUSH", raw)


class CheckedChannel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel that gives Celery no malformed message."""

    QoS = CheckedQoS
    messages_taken: ClassVar[int] = 0
    """From the queues by this process, malformed ones too."""
    _in_hand: ClassVar[deque[Entry]] = deque(maxlen=MOST_IN_HAND)

    @cached_property
    def door(self) -> str | None:
        """The name of what checks; None where nothing does."""
        named: str | None = self.connection.client.transport_options.get("door")
        return named

    @cached_property
    def check(self) -> Callable[[bytes, str, int], Incoming]:
        """What tells of a raw message, its queue and its priority what it is."""
        found: Callable[[bytes, str, int], Incoming] = symbol_by_name(self.door)
        return found

    def put_aside_noted(self, tag: str | bytes, raw: bytes, queue: str, incoming: Incoming | None) -> None:
        """Put a message aside whose note says that a worker has it; without one, there is only its time to forget."""
        name = tag.decode("utf-8", "replace") if isinstance(tag, bytes) else tag
        is_plain = one_line(name).encode() == (tag if isinstance(tag, bytes) else tag.encode())
        if incoming is not None:
            reason = incoming.reason or "a note says that a worker has it, for a queue that is none of the service's"
            kept_tag = name if is_plain else ""
            self._put_aside(make_entry(raw, queue, reason, incoming.sender, incoming.task, kept_tag))
        if incoming is None or not is_plain:  # a note under a tag that no worker gives must not stay in front of others
            with self.conn_or_acquire() as client:
                client.zrem(self.unacked_index_key, tag)
                client.hdel(self.unacked_key, tag)

    def put_aside_held(self, message: Any, reason: str) -> None:
        """Put a message aside that this worker has; raise `redis.RedisError`."""
        queue = str(message.delivery_info.get("routing_key", ""))
        task, sender = message.headers.get("task", ""), message.headers.get("origin", "")
        raw = json.dumps(message._raw).encode()
        self._put_aside(make_entry(raw, queue, reason, str(sender), str(task), message.delivery_tag))
        kombu_redis.virtual.QoS.ack(self.qos, message.delivery_tag)
        message._state = "REJECTED"

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)
        if asynchronous and self.door is not None:  # the one that reads the queues
            client.parse_response = self._checking(client.parse_response)
        return client

    def _checking(self, parse: Callable[..., Any]) -> Callable[..., Any]:
        def parse_response(connection: Any, command_name: str, **options: Any) -> Any:
            answer = parse(connection, command_name, **options)
            return self._taken(*answer) if command_name == "BRPOP" and answer else answer

        return parse_response

    def _taken(self, name: bytes, raw: bytes) -> tuple[bytes, bytes] | None:
        """Return what kombu may decode in place of what came; None, as where nothing came, for what is put aside."""
        CheckedChannel.messages_taken += 1
        queue, _, step = name.decode().partition(self.sep)
        incoming = self.check(raw, queue, int(step or 0))
        if incoming.payload is None:
            self._put_aside(make_entry(raw, queue, incoming.reason, incoming.sender, incoming.task))
            return None
        return name, dumps(incoming.payload).encode()

    def _put_aside(self, entry: Entry) -> None:
        self._in_hand.append(entry)
        self._put_in_hand_aside()

    def _put_in_hand_aside(self) -> None:
        """Put aside what is in hand; what is left when the server is away is tried again when it is back."""
        while self._in_hand:
            entry = self._in_hand[0]
            with self.conn_or_acquire() as client:
                kept = put_aside(client, self.global_keyprefix, entry)
            self._in_hand.popleft()
            if kept:
                said = json.loads(entry.text)
                told = "a message for %s was put aside (docroute dead show %s --messages): %s"
                _LOG.warning(told, said["queue"] or "no queue", entry.id, said["reason"])

    def _brpop_start(self, timeout: Any = None) -> None:
        if self._in_hand:
            self._put_in_hand_aside()
        super()._brpop_start(timeout)

    def _receive_one(self, c: Any) -> Any:
        try:
            return super()._receive_one(c)
        except _NOT_THE_MESSAGE:
            raise
        except Exception as exc:  # to everybody and kept by nobody, as commands and events are
            _LOG.warning("a broadcast message is passed over: %s: %s", type(exc).__name__, exc)
            raise Empty from exc


def _priority(raw: bytes) -> int:
    """Return the priority of a message that was checked; 0 where it has none that kombu knows."""
    priority = json.loads(raw)["properties"].get("priority")
    return priority if isinstance(priority, int) and 0 <= priority <= 9 else 0
