"""What a worker's main process serves of itself: metrics of its steps, live and ready. Knows Celery's signals only."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from typing import Any

from celery import signals

from backends.base import EngineModel
from workers.broker import connect
from workers.health import Health
from workers.jobs import Stage
from workers.metrics import StepMetrics
from workers.metrics_model import ModelCollector
from workers.monitoring_server import MonitoringServer
from workers.report_pipe import ReportPipe
from workers.runtime import StepReport
from workers.service_settings import BrokerSettings, ServiceSettings
from workers.stall import Stall
from workers.stall_watch import StageQueue, StallWatch, end_process, has_room, messages_taken

CONSUMER = "the queue's consumer"
CONSUMER_SILENCE_S = 120.0
"""Above the time in which a consumer notices a cut and has connected again."""
PROBE_TIMEOUT_S = 2.0


class WorkerMonitoring:
    """Made in the main process before any fork."""

    def __init__(self, service: ServiceSettings) -> None:
        self.health = Health()
        self.metrics = StepMetrics()
        self._settings = service.monitoring
        self._broker = service.broker
        self._pid = os.getpid()
        self._pipe = ReportPipe()
        self._server: MonitoringServer | None = None
        self._consumer: Any = None
        self._stall: StallWatch | None = None
        self.has_stalled = False

    def observe(self, report: StepReport) -> None:
        """Count a step, in the main process or a forked one."""
        if os.getpid() == self._pid:
            self.metrics.observe(report)
        else:
            self._pipe.send(report)

    def watch_engine(self, stage: Stage, engine: EngineModel) -> None:
        """Let a loaded model's engine say whether it is alive, what it holds and how large its batches are."""
        self.health.ask(f"the engine of the {stage} lane", engine.problem)
        self.metrics.registry.register(ModelCollector(stage, engine))
        engine.on_batch(lambda size: self.metrics.observe_batch(stage, size))

    def watch_queue(self, stage: Stage, grace_s: float, speak: Callable[[], None]) -> None:
        """End the process when its consumer takes nothing of what waits for `stage`; after `grace_s` in any case.

        `speak` is called when that changes whether it is ready.
        """

        def end(why: str) -> None:
            self.has_stalled = True
            end_process(why, grace_s)

        queue = StageQueue(self._broker, stage)
        stall = Stall(messages_taken, lambda: has_room(self._consumer), queue.waits)
        self._stall = StallWatch(self._settings, self.health, stall, end, speak)
        self._stall.start()

    def start(self) -> int | None:
        """Watch Celery's consumer and serve; return the port, None where none is set. Raise `SettingsError`."""
        self.health.expect(CONSUMER)
        self.health.require("broker and store", lambda: ping(self._broker))
        signals.worker_ready.connect(self._on_ready, weak=False)
        signals.heartbeat_sent.connect(self._on_heartbeat, weak=False)
        signals.worker_shutting_down.connect(self._on_stopping, weak=False)
        signals.worker_process_init.connect(self._on_fork, weak=False)
        self._pipe.receive(self.metrics.observe, self.metrics.count_lost)
        if self._settings.port is None:
            return None
        self._server = MonitoringServer(self._settings, self.metrics.registry, self.health)
        self._server.start()
        return self._server.port

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _on_fork(self, **kwargs: object) -> None:
        """Let go of the port: a child that outlives its parent must not keep it from the next one."""
        if self._server is not None:
            self._server.close_in_child()

    def _on_ready(self, sender: Any = None, **kwargs: object) -> None:
        self._consumer = sender
        self.health.watch(CONSUMER, CONSUMER_SILENCE_S, excuse=self._broker_is_away)
        self.health.reached(CONSUMER)

    def _on_stopping(self, **kwargs: object) -> None:
        if self._stall is not None:
            self._stall.stop()
        self.health.failed("the worker", "is stopping")

    def _on_heartbeat(self, **kwargs: object) -> None:
        self.health.beat(CONSUMER)

    def _broker_is_away(self) -> bool:
        """Return whether the consumer stands still because of the broker: starting it again would not help."""
        try:
            ping(self._broker)
        except Exception:
            return True
        return False


def ping(broker: BrokerSettings) -> None:
    """Return when the broker answers; raise an error of the client, in at most some seconds."""
    with closing(connect(broker, PROBE_TIMEOUT_S)) as client:
        client.ping()
