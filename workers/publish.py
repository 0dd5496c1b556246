"""Messages: a job's id put into the queue of its stage. Knows Celery, and of a job what operators want to see of it.

A message that cannot be published now is not lost: the store has no note that it was, and the sweeper tries again.
"""

from __future__ import annotations

import logging
import secrets
import threading

from celery import Celery
from kombu.exceptions import OperationalError

from router.errors import StoreError
from workers.job_data import read_data
from workers.jobs import Job, Priority, Stage
from workers.store import Store

PRIORITIES: dict[Priority, int] = {"high": 0, "normal": 3}
"""Of kombu's steps 0, 3, 6 and 9; the lowest is taken first."""
_KEPT = 10_000
"""Notes for a store that is away; beyond, messages are published twice."""
_LOG = logging.getLogger(__name__)


def publish(app: Celery, store: Store, job: Job) -> bool:
    """Put the message for a job's stage into its queue and note it; return whether the broker took it."""
    if not send(app, job):
        return False
    try:
        store.published(job.id, job.stage)
    except StoreError as exc:  # published once more by the sweeper, which does no harm
        _LOG.warning("job %s: the message for %s could not be noted: %s", job.id, job.stage, exc)
    return True


def send(app: Celery, job: Job) -> bool:
    """Put the message for a job's stage into its queue; return whether the broker took it."""
    try:
        app.send_task(
            f"docroute.{job.stage}",
            args=(job.id,),
            queue=job.stage,
            priority=PRIORITIES[job.spec.priority],
            task_id=f"{job.id}-{job.stage}-{secrets.token_hex(3)}",
            argsrepr=describe(job),
            kwargsrepr="",
            ignore_result=True,
        )
    except (OperationalError, OSError) as exc:
        _LOG.warning("job %s: no message for %s yet, the broker is away: %s", job.id, job.stage, exc)
        return False
    return True


class Publisher:
    """Publishes for one process, and notes many messages at once: a trip to the store for each would cost more.

    What is not noted when a process dies is published a second time, which does no harm. Safe for threads.
    """

    def __init__(self, app: Celery, store: Store) -> None:
        self._app = app
        self._store = store
        self._sent: list[tuple[str, Stage]] = []
        self._lock = threading.Lock()

    def __call__(self, job: Job) -> None:
        """Publish the message for a job's stage."""
        if send(self._app, job):
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


def describe(job: Job) -> str:
    """Return what Flower shows as the arguments of a task."""
    data = read_data(job)
    parts = [job.id]
    if data.pages:
        parts.append(f"{data.pages} page{'s' if data.pages != 1 else ''}")
    if job.stage == "deep":
        parts.append(f"fields {', '.join(data.fields)}" if data.fields else "all fields")
    parts += [job.spec.schema_name, f"tier {job.spec.tier}"]
    return ", ".join(parts)
