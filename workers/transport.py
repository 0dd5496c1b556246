"""Kombu's transport for Redis, with two repairs. Knows connections, and nothing of jobs.

When a server goes away while threads of a pool acknowledge messages, kombu may use a channel whose connection is
closed already. It then fails with an AttributeError, which Celery takes for the end of the worker instead of a lost
connection. Here that is a lost connection too, after which the worker connects again.

For every single command kombu makes a new client object, which costs more than the command. Here a channel keeps one.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

_NAME = "workers.transport:Transport"


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel that keeps its client, and says so when its connection is gone."""

    _kept: tuple[Any, Any] = (None, None)

    def _connparams(self, *args: Any, **options: Any) -> Any:
        if getattr(self.connection, "client", None) is None:
            raise redis.ConnectionError("the connection of this channel is closed")
        return super()._connparams(*args, **options)

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


def use_repaired_transport() -> None:
    """Let the `redis://` and `rediss://` brokers of this process use it, from its first connection on."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), _NAME))
