"""Messages: a job's id put into the queue of its stage. Knows Celery, and of a job what operators want to see of it.

A message that cannot be published now is not lost: the store has no note that it was, and the sweeper tries again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

from router.errors import StoreError
from workers.job_data import read_data
from workers.jobs import Job, Priority
from workers.store import Store

PRIORITIES: dict[Priority, int] = {"high": 0, "normal": 3}
"""Of kombu's steps 0, 3, 6 and 9; the lowest is taken first."""
_LOG = logging.getLogger(__name__)


def publish(app: Celery, store: Store, job: Job) -> bool:
    """Put the message for a job's stage into its queue and note it; return whether the broker took it."""
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
    try:
        store.published(job.id, job.stage)
    except StoreError as exc:  # published once more by the sweeper, which does no harm
        _LOG.warning("job %s: the message for %s could not be noted: %s", job.id, job.stage, exc)
    return True


def publisher(app: Celery, store: Store) -> Callable[[Job], None]:
    """Return `publish` for a runtime."""

    def publish_job(job: Job) -> None:
        publish(app, store, job)

    return publish_job


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
