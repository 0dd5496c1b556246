"""Messages: a job's id put into the queue of its stage. Knows the store, and messages only by what sends them.

A message that cannot be published now is not lost: the store has no note that it was, and the sweeper tries again.
"""

from __future__ import annotations

import logging
import threading
from functools import lru_cache

from celery import Celery
from kombu.exceptions import OperationalError

from router.errors import StoreError
from workers.jobs import Job, Stage
from workers.message import Sender
from workers.store import Store

_KEPT = 10_000
"""Notes for a store that is away; beyond, messages are published twice."""
_LOG = logging.getLogger(__name__)


def publish(app: Celery, store: Store, job: Job) -> bool:
    """Put the message for a job's stage into its queue and note it; return whether the broker took it."""
    if not _sent(_sender(app), job):
        return False
    try:
        store.published(job.id, job.stage)
    except StoreError as exc:  # published once more by the sweeper, which does no harm
        _LOG.warning("job %s: the message for %s could not be noted: %s", job.id, job.stage, exc)
    return True


def _sent(sender: Sender, job: Job) -> bool:
    try:
        sender.send(job)
    except (OperationalError, OSError) as exc:
        _LOG.warning("job %s: no message for %s yet, the broker is away: %s", job.id, job.stage, exc)
        return False
    return True


@lru_cache(maxsize=8)
def _sender(app: Celery) -> Sender:
    return Sender(app)


class Publisher:
    """Publishes for one process, and notes many messages at once: a trip to the store for each would cost more.

    What is not noted when a process dies is published a second time, which does no harm. Safe for threads.
    """

    def __init__(self, app: Celery, store: Store) -> None:
        self._sender = Sender(app, gather_events=True)
        self._store = store
        self._sent: list[tuple[str, Stage]] = []
        self._lock = threading.Lock()

    def __call__(self, job: Job) -> None:
        """Publish the message for a job's stage."""
        if _sent(self._sender, job):
            with self._lock:
                self._sent.append((job.id, job.stage))

    def flush(self) -> None:
        """Note what was published; raise `StoreError`."""
        with self._lock:
            sent, self._sent = self._sent, []
        try:
            if sent:
                self._store.published_many(sent)
        except StoreError:
            with self._lock:
                self._sent = [*sent, *self._sent][:_KEPT]
            raise
        self._sender.flush()
