"""The message for a job, and the event by which Flower learns of it. Knows Celery's protocol; no store.

A message is what a worker needs and an operator wants to see. Celery's own `send_task` adds a kilobyte of fields that
are empty here, some of them twice, and takes twice the time.
"""

from __future__ import annotations

import logging
import secrets
import threading
from typing import Any

from celery import Celery

from workers.jobs import Job, Priority

PRIORITIES: dict[Priority, int] = {"high": 0, "normal": 3}
"""Of kombu's steps 0, 3, 6 and 9; the lowest is taken first."""
_KEPT_EVENTS = 1000
_LOG = logging.getLogger(__name__)


class Sender:
    """Sends for one process. Safe for threads.

    With `gather_events` the events wait for `flush`, many in one message; else each is sent at once.
    """

    def __init__(self, app: Celery, gather_events: bool = False) -> None:
        self._app = app
        self._gather = gather_events
        # it is only given producers, as Celery does it too for this event
        self._dispatcher = app.events.Dispatcher(enabled=False, buffer_while_offline=False)
        self._events: list[Any] = []
        self._lock = threading.Lock()

    def send(self, job: Job) -> None:
        """Put the message for a job's stage into its queue; raise `OperationalError` or `OSError`."""
        conf, headers = self._app.conf, headers_of(job)
        with self._app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                [[job.id], {}, {}],
                exchange="",
                routing_key=job.stage,
                serializer="json",
                headers=headers,
                priority=PRIORITIES[job.spec.priority],
                retry=True,
                retry_policy=conf.task_publish_retry_policy,
            )
        if conf.task_send_sent_event:
            self._note_event(job, headers)
            if not self._gather:
                self.flush()

    def flush(self) -> None:
        """Send the events that wait; they are dropped where the broker is away."""
        with self._lock:
            events, self._events = self._events, []
        if events:
            try:
                with self._app.producer_pool.acquire(block=True) as producer:
                    self._dispatcher._publish(events, producer, "task.multi")
            except Exception as exc:
                _LOG.info("%d events of sent messages are lost: %s", len(events), exc)

    def _note_event(self, job: Job, headers: dict[str, Any]) -> None:
        fields = {
            "uuid": headers["id"],
            "root_id": headers["root_id"],
            "parent_id": None,
            "name": headers["task"],
            "args": headers["argsrepr"],
            "kwargs": "",
            "retries": 0,
            "eta": None,
            "expires": None,
            "queue": job.stage,
            "exchange": "",
            "routing_key": job.stage,
        }
        event = self._dispatcher._prepare_event("task-sent", fields)
        with self._lock:
            self._events = [*self._events[-_KEPT_EVENTS:], event]


def headers_of(job: Job) -> dict[str, Any]:
    """Return the headers of the message for a job's stage."""
    task_id = f"{job.id}-{job.stage}-{secrets.token_hex(3)}"
    return {
        "lang": "py",
        "task": f"docroute.{job.stage}",
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "argsrepr": describe(job),
        "ignore_result": True,
    }


def describe(job: Job) -> str:
    """Return what Flower shows as the arguments of a task."""
    pages, fields = job.data.get("pages"), job.data.get("fields")
    parts = [job.id]
    if pages:
        parts.append(f"{pages} page{'s' if pages != 1 else ''}")
    if job.stage == "deep":
        parts.append(f"fields {', '.join(map(str, fields))}" if isinstance(fields, list) and fields else "all fields")
    parts += [job.spec.schema_name, f"tier {job.spec.tier}"]
    return ", ".join(parts)
