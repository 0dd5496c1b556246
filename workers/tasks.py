"""The Celery tasks, a few lines each: what they do is in `steps` and `accept`. Knows how a process gets its runtime."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject

from router.errors import DocrouteError
from workers.accept import accept, refuse_message
from workers.incoming import NOT_AFTER, REFUSE, SUBMIT
from workers.jobs import STAGES, Stage
from workers.logs import job_context
from workers.publish import Publisher
from workers.runtime import LaneChoice, Runtime, StepReport
from workers.settings import Settings
from workers.steps import run_step
from workers.store_redis import make_store

AWAY_WAIT_S = 1.0
"""Before a message goes back because the store or the blobs cannot be reached."""


class Processes:
    """Gives each process its own runtime: what was made before a fork must not be used after it.

    `observe` is told of every step in every process, and must be set before the first runtime is made.
    """

    def __init__(self, app: Celery, settings: Settings, choice: LaneChoice) -> None:
        self._app = app
        self._settings = settings
        self._choice = choice
        self._runtime: tuple[int, Runtime] | None = None
        self.observe: Callable[[StepReport], None] = lambda report: None
        app.docroute = self

    def runtime(self) -> Runtime:
        """Return the runtime of this process."""
        if self._runtime is None or self._runtime[0] != os.getpid():
            store = make_store(self._settings.service)
            publish = Publisher(self._app, store)
            made = Runtime(self._settings, store, publish, self._choice, self.observe, publish.flush)
            self._runtime = os.getpid(), made
        return self._runtime[1]


def processes(app: Celery) -> Processes:
    """Return what gives an application's processes their runtime."""
    found: Processes = app.docroute
    return found


def register(app: Celery, made: Processes) -> None:
    """Add the tasks to an application."""

    def step_task(stage: Stage) -> None:
        def run(task: Task, job_id: str) -> str:
            with job_context(job_id, stage):
                return _or_back(lambda: run_step(made.runtime(), stage, job_id, worker_name(task)))

        app.task(run, name=f"docroute.{stage}", bind=True)

    def submit(task: Task, /, *nameless: Any, **arguments: Any) -> str:
        given = arguments | ({"arguments without a name": nameless} if nameless else {})
        not_after = task.request.get(NOT_AFTER)
        return _or_back(lambda: accept(made.runtime(), given, worker_name(task), not_after))

    def refuse(task: Task, /, reason: str, arguments: dict[str, Any]) -> str:
        return _or_back(lambda: refuse_message(made.runtime(), arguments, reason))

    for stage in STAGES:
        step_task(stage)
    # until a submission has become a job, its message is all there is of it
    kept = {"bind": True, "reject_on_worker_lost": True, "acks_on_timeout": False}
    app.task(submit, name=SUBMIT, **kept)
    app.task(refuse, name=REFUSE, **kept)


def worker_name(task: Task) -> str:
    """Return who works: the node and the process."""
    return f"{task.request.hostname or 'local'}/{os.getpid()}"


def _or_back(work: Callable[[], str]) -> str:
    """Do the work of a message; give the message back where what it needs cannot be reached."""
    try:
        return work()
    except DocrouteError as exc:
        if not exc.retryable:
            raise
        time.sleep(AWAY_WAIT_S)
        raise Reject(str(exc), requeue=True) from exc
