"""Ends a worker that does not move, so that whoever started it starts it again. Knows Celery's consumer and its queue.

That a process ends is what `docroute up`, Compose and Kubernetes all understand: Compose starts no container again that
is only unhealthy, and what hangs in one process is no reason to let others wait.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from router.errors import StoreError
from workers.broker import connect
from workers.health import Health
from workers.jobs import Stage
from workers.presence import RECORDS
from workers.queue_depth import BrokerQueues
from workers.service_settings import BrokerSettings, MonitoringSettings
from workers.stall import LOOK_EVERY_S, Stall
from workers.transport_checks import CheckedChannel

EXIT_STALLED = 75
NOT_LIVE_S = 120.0
"""A process that is not live for so long ends itself; where something asks `/live`, that was quicker."""
ASK_TIMEOUT_S = 5.0
_LOG = logging.getLogger(__name__)


class StallWatch:
    """Looks from a thread. `end` is told why, once, when the process should end, and `speak` whenever it changes
    whether the worker is ready.

    `stall_s` and `stall_exit_s` are in `settings`; a worker is not ready after the first, and ends after the second.
    """

    def __init__(
        self,
        settings: MonitoringSettings,
        health: Health,
        stall: Stall,
        end: Callable[[str], None],
        speak: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._health = health
        self._stall = stall
        self._end = end
        self._speak = speak
        self._clock = clock
        self._still_s = 0.0
        self._live_at = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall", daemon=True)
        health.doubt("the queue", self.problem)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more: a worker that stops takes nothing on purpose."""
        self._stopped.set()
        self._still_s = 0.0

    def problem(self) -> str | None:
        """Return what is wrong once the worker has stood still for `stall_s`."""
        if self._still_s <= self._settings.stall_s:
            return None
        return f"messages wait, there is room for them, and none was taken for {self._still_s:.0f} s"

    def look(self) -> None:
        """Look once."""
        before, self._still_s = self.problem(), self._stall.look()
        if (before is None) != (self.problem() is None):
            self._speak()
        problems = self._health.not_live()
        if not problems:
            self._live_at = self._clock()
        why = self.problem() if self._still_s > self._settings.stall_exit_s else None
        if self._clock() - self._live_at > NOT_LIVE_S:
            why = "; ".join(problems)
        if why:
            self._stopped.set()
            self._end(why)

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Exception:  # whoever watches must not be the one that fell silent
                _LOG.exception("one look at the queue failed")


class StageQueue:
    """What of a stage's queue a worker could take."""

    def __init__(self, broker: BrokerSettings, stage: Stage) -> None:
        self._queues = BrokerQueues(broker)
        self._client = connect(broker, ASK_TIMEOUT_S)
        self._records = broker.key_prefix + RECORDS
        self._stage = stage

    def waits(self) -> bool:
        """Return whether messages wait and the broker gives any out: one that cannot write does not."""
        try:
            self._client.hdel(self._records, "")
            return sum(self._queues.depths()[self._stage].values()) > 0
        except (redis.RedisError, StoreError):
            return False


def has_room(consumer: Any) -> bool:
    """Return whether Celery's consumer would take another message; one without a connection should, too."""
    try:
        return bool(consumer.task_consumer.channel.qos.can_consume())
    except AttributeError:
        return True


def messages_taken() -> int:
    """Return how many messages this process has taken from a queue, malformed ones too."""
    return CheckedChannel.messages_taken


def end_process(why: str, grace_s: float) -> None:
    """Tell the process to stop as if from outside, so that its steps may end, and end it when it does not."""
    _LOG.critical("%s; this process ends, to be started again", why)
    with contextlib.suppress(OSError):
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    _LOG.critical("it did not end within %.0f s of being told to; it ends now", grace_s)
    logging.shutdown()
    os._exit(EXIT_STALLED)
