"""Celery's consumer, with the events of tasks gathered for a moment, and no message that ends it. Knows no task.

Celery sends events with every turn of its loop, which under load is a message for each task and stage: a tenth of all
that a step costs. Here those of a fifth of a second go together; who watches sees them that much later.

Messages are checked before they come here (`transport_checks`). One that Celery stumbles over all the same is put aside
too: Celery would drop it, or end over it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import redis
from celery.worker.consumer import Consumer

from workers.broker_errors import broker_problem

GATHER_S = 0.2
REFUSED_WAIT_S = 1.0
SAY_AGAIN_S = 60.0
_FORGOTTEN_S = 5.0
"""A flush that has not come by then was lost with its connection."""


_NOT_THE_MESSAGE = (redis.RedisError, OSError, MemoryError)
"""What the way to the server and the machine cause. A pool that is closing raises a RuntimeError."""


_LOG = logging.getLogger(__name__)


class EventGatheringConsumer(Consumer):  # type: ignore[misc]
    """The consumer that `worker_consumer` names."""

    _flush_asked_at: float | None = None

    _problem: tuple[str, float] = ("", 0.0)

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Say what keeps it from its queue, once a minute while that stays the same, and wait a moment.

        A server that answers and refuses, as a replica does, would else be asked twenty times a second.
        """
        told, (last, at) = broker_problem(self.conninfo.as_uri(), exc), self._problem
        if told != last or time.monotonic() - at > SAY_AGAIN_S:
            self._problem = told, time.monotonic()
            _LOG.error("%s; trying again", told)
        time.sleep(REFUSED_WAIT_S)

    def on_send_event_buffered(self) -> None:
        """Let what is buffered be sent soon; called from any thread."""
        asked_at, now = self._flush_asked_at, time.monotonic()
        if self.hub and (asked_at is None or now - asked_at > _FORGOTTEN_S):
            self._flush_asked_at = now
            self.hub.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        # timers may be set by the loop's own thread only
        self.hub.call_later(GATHER_S, self._flush_events)

    def _flush_events(self) -> None:
        self._flush_asked_at = None
        super()._flush_events()

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Return what takes each message."""
        take = super().create_task_handler(*args, **options)

        def take_or_put_aside(message: Any) -> Any:
            try:
                return take(message)
            except _NOT_THE_MESSAGE:
                raise
            except Exception as exc:
                if isinstance(exc, RuntimeError) and not isinstance(exc, RecursionError):
                    raise
                return self._put_aside(message, f"Celery cannot take it: {type(exc).__name__}: {exc}")

        return take_or_put_aside

    def on_unknown_message(self, body: object, message: Any) -> None:
        """Put a message aside that asks for nothing."""
        self._put_aside(message, "it is in no form that Celery knows")

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:
        """Put a message aside that asks for what nobody does."""
        self._put_aside(message, f"there is no task {exc}")

    def on_invalid_task(self, body: object, message: Any, exc: Exception) -> None:
        """Put a message aside whose task cannot be read."""
        self._put_aside(message, f"Celery cannot take it: {exc}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Put a message aside whose body cannot be read."""
        self._put_aside(message, f"its body cannot be read: {exc}")

    def _put_aside(self, message: Any, reason: str) -> None:
        if message.acknowledged or not message.delivery_tag:  # it is dealt with, or was a broadcast that nobody keeps
            return
        message.channel.put_aside_held(message, reason)

    def shutdown(self) -> None:
        """Send what is left, and end."""
        with contextlib.suppress(*self.connection_errors):
            self._flush_events()
        super().shutdown()
