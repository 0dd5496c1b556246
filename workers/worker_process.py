"""One worker process: the Celery worker of a stage with the pool that fits, and the sweeper beside it.

Knows Celery's signals; knows no document. Pools: a model that owns a device must not be forked, and its steps wait more
than they compute, so they share one process as threads. Intake and the OCR lanes compute on the CPU and may crash, so
each of their steps has a process of its own. A model with an engine is loaded, sized and captured before the worker
says that it is ready or takes a message, and a model that cannot be loaded ends it: no other one ever takes its place.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
from celery import Celery, signals

from backends.base import engine_of
from router.errors import DocrouteError, SettingsError, StoreError
from workers.app import make_app
from workers.broker import check_access
from workers.jobs import Stage
from workers.monitoring import WorkerMonitoring
from workers.prefork import PreforkPool
from workers.presence import Presence
from workers.queue_depth import BrokerQueues
from workers.runtime import LaneChoice, Runtime, create_lane
from workers.settings import Settings
from workers.stall_watch import EXIT_STALLED
from workers.sweeper import Sweeper
from workers.tasks import processes

Pool = Literal["threads", "prefork"]
LANE = "the lane"
THREADS = 8
"""Documents that a lane without an engine of its own works on at once, unless told otherwise."""
TIME_LIMIT_MARGIN_S = 30.0
_CPU_BACKENDS = ("ocr-",)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerChoice:
    """What a worker is started with; None is the default of its stage."""

    stage: Stage
    lane: LaneChoice = field(default_factory=LaneChoice)
    concurrency: int | None = None
    pool: Pool | None = None


def run_worker(settings: Settings, choice: WorkerChoice) -> int:
    """Work until the process is told to stop (SIGTERM: after the steps that run) and return its exit code.

    Raise `DocrouteError` before any work when the lane or a setting is wrong.
    """
    check_access(settings.service.broker)
    monitoring = WorkerMonitoring(settings.service)
    presence = Presence(
        settings,
        choice.stage,
        backend=backend_of(settings, choice),
        device=choice.lane.device or "",
        concurrency=concurrency_of(settings, choice),
        ready=lambda: "; ".join(monitoring.health.not_ready()),
    )
    monitoring.start()  # before the first word, which would say that all is ready
    with presence:
        return _work(settings, choice, monitoring, presence)


def _work(settings: Settings, choice: WorkerChoice, monitoring: WorkerMonitoring, presence: Presence) -> int:
    app = make_app(settings, choice.lane)
    pool = choice.pool or pool_of(settings, choice)
    cv2.setNumThreads(1)  # the pool is the parallelism
    processes(app).observe = monitoring.observe
    concurrency = concurrency_of(settings, choice)
    if pool == "threads":
        monitoring.health.expect(LANE)
        runtime = processes(app).runtime()
        concurrency = _prepare(runtime, choice, monitoring, presence, concurrency)
        monitoring.health.reached(LANE)
    elif choice.stage != "intake":
        _check_forkable(settings, choice)
    connected = _connect(app, presence)
    worker = app.Worker(
        hostname=f"{choice.stage}-{os.getpid()}@{socket.gethostname()}",
        queues=[choice.stage],
        pool=PreforkPool if pool == "prefork" else pool,
        concurrency=concurrency,
        without_mingle=True,
        without_gossip=True,
        quiet=True,
        **({"task_time_limit": settings.document_timeout_s + TIME_LIMIT_MARGIN_S} if pool == "prefork" else {}),
    )
    monitoring.watch_queue(choice.stage, settings.document_timeout_s + 2 * TIME_LIMIT_MARGIN_S, presence.speak)
    worker.start()
    del connected  # handlers are held weakly by Celery, so they live as long as this frame
    monitoring.stop()
    if pool == "threads":
        runtime.close()
    return EXIT_STALLED if monitoring.has_stalled else int(worker.exitcode or 0)


def _prepare(
    runtime: Runtime, choice: WorkerChoice, monitoring: WorkerMonitoring, presence: Presence, concurrency: int
) -> int:
    """Make the lane, its model loaded, and return how many documents to work on at once; raise `DocrouteError`."""
    runtime.prepare(choice.stage)
    engine = runtime.engine(choice.stage)
    if engine is None:
        return concurrency
    monitoring.watch_engine(choice.stage, engine)
    facts = engine.facts()
    wanted = choice.concurrency or facts.callers
    presence.tell(wanted, facts.name, facts.device)
    told = "%s: %s on %s, %d slots, %d documents at once"
    _LOG.info(told, choice.stage, facts.name, facts.device, facts.slots, wanted)
    return wanted


def _check_forkable(settings: Settings, choice: WorkerChoice) -> None:
    """Tell what is wrong with a lane that each child makes for itself; raise `DocrouteError`."""
    if engine_of(create_lane(settings, choice.stage, choice.lane)) is not None:
        raise SettingsError(
            f"--pool prefork: the model of {backend_of(settings, choice)} belongs to one process; leave out --pool"
        )


def pool_of(settings: Settings, choice: WorkerChoice) -> Pool:
    """Return the pool that fits a stage and its backend."""
    backend = backend_of(settings, choice)
    return "prefork" if choice.stage == "intake" or backend.startswith(_CPU_BACKENDS) else "threads"


def backend_of(settings: Settings, choice: WorkerChoice) -> str:
    """Return the name of the backend that reads; empty for intake, which reads nothing."""
    named = {"intake": "", "fast": settings.lanes.fast, "deep": settings.lanes.deep}[choice.stage]
    return choice.lane.backend or named


def concurrency_of(settings: Settings, choice: WorkerChoice) -> int:
    """Return how many documents the worker works on at once."""
    pool = choice.pool or pool_of(settings, choice)
    return choice.concurrency or (settings.process_count() if pool == "prefork" else THREADS)


def make_sweeper(app: Celery) -> Sweeper:
    """Return the sweeper of this process."""
    runtime = processes(app).runtime()
    return Sweeper(runtime, BrokerQueues(runtime.settings.service.broker))


def _connect(app: Celery, presence: Presence) -> list[Any]:
    """Let Celery's signals start and stop what belongs to a worker; return the handlers."""
    started: list[Sweeper] = []

    def own_logging(**_: object) -> None:
        """Keep Celery from setting up logging of its own, and from two lines about what is told once already."""
        for name in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # a warning of TLS that is not verified, for URLs that it only prints; see `workers.transport`
        logging.getLogger("kombu.connection").setLevel(logging.ERROR)

    def ready(**_: object) -> None:
        if not started:  # it is sent again after every lost connection
            started.append(make_sweeper(app))
            started[0].start()
        presence.speak()

    def child_begins(**_: object) -> None:
        cv2.setNumThreads(1)

    def shutting_down(**_: object) -> None:
        for sweeper in started:
            sweeper.stop()
        try:
            processes(app).runtime().note(older_than_s=0.0)
        except StoreError as exc:
            _LOG.warning("the last traffic was not noted: %s", exc)
        except DocrouteError:
            _LOG.exception("stopping")

    signals.setup_logging.connect(own_logging)
    signals.worker_ready.connect(ready)
    signals.worker_process_init.connect(child_begins)
    signals.worker_shutdown.connect(shutting_down)
    return [own_logging, ready, child_begins, shutting_down]
