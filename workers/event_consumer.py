"""Celery's consumer, with the events of tasks gathered for a moment. Knows no task.

Celery sends events with every turn of its loop, which under load is a message for each task and stage: a tenth of all
that a step costs. Here those of a fifth of a second go together; who watches sees them that much later.
"""

from __future__ import annotations

import contextlib
import time

from celery.worker.consumer import Consumer

GATHER_S = 0.2
_FORGOTTEN_S = 5.0
"""A flush that has not come by then was lost with its connection."""


class EventGatheringConsumer(Consumer):  # type: ignore[misc]
    """The consumer that `worker_consumer` names."""

    _flush_asked_at: float | None = None

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

    def shutdown(self) -> None:
        """Send what is left, and end."""
        with contextlib.suppress(*self.connection_errors):
            self._flush_events()
        super().shutdown()
