"""What keeps jobs moving when workers and messages are lost, and what clears away what is old. Knows store and queues.

Every worker's main process runs one; a lock in the store lets one at a time do the work.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from workers.chore import Chore
from workers.epoch import EpochWatch
from workers.jobs import STAGES, Stage
from workers.notifier import Notifier
from workers.retention import Retention
from workers.runtime import Runtime

BATCH = 500
BLOBS_EVERY_S = 3600.0
EPOCH_EVERY_S = 5.0
_NOTIFY_S = 4.0
"""Shorter than a chore is waited for when its process ends."""


class Queues(Protocol):
    """What the sweeper asks of the broker; `workers.queue_depth.BrokerQueues` has it."""

    def held_jobs(self, stage: Stage, within_s: float) -> set[str]:
        """Return the ids of jobs whose message a worker took in the last `within_s` seconds and holds."""
        ...

    def next_jobs(self, stage: Stage) -> list[str]:
        """Return the ids of the few jobs whose messages are taken next."""
        ...


@dataclass(frozen=True)
class Swept:
    """How many leases had run out, messages were lost, messages were published, and jobs were purged."""

    expired: int = 0
    lost: int = 0
    published: int = 0
    purged: int = 0


class Sweeper:
    """Finds jobs that stopped moving. `lost_after_s`: a message counts as lost only after this long."""

    def __init__(
        self,
        runtime: Runtime,
        queues: Queues,
        owner: str | None = None,
        lost_after_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._store = runtime.store
        self._steps = runtime.settings.service.steps
        self._queues = queues
        self._owner = owner or f"{socket.gethostname()}/{os.getpid()}"
        self._lost_after_s = lost_after_s or 2 * self._steps.publish_grace_s
        self._clock = clock
        self._requeued: dict[str, float] = {}

    @cached_property
    def chores(self) -> tuple[Chore, ...]:
        """The threads; webhooks have their own, so that a slow receiver keeps no job waiting."""
        every_s = self._steps.sweep_every_s
        work: list[tuple[str, Callable[[], object], float]] = [
            ("sweeper", self.run_once, every_s),
            ("webhooks", self.notify, every_s),
            ("blobs", self.purge_blobs, BLOBS_EVERY_S),
            ("epoch", EpochWatch(self._store, self._runtime.blobs).look, EPOCH_EVERY_S),
        ]
        return tuple(Chore(name, done, self._store, self._owner, pause_s) for name, done, pause_s in work)

    def start(self) -> None:
        """Sweep every `steps.sweep_every_s` seconds, in threads."""
        for chore in self.chores:
            chore.start()

    def stop(self) -> None:
        """Stop sweeping; another worker goes on."""
        for chore in self.chores:
            chore.end_soon()
        for chore in self.chores:
            chore.stop()

    def run_once(self) -> Swept:
        """Sweep once and return what was found; raise `StoreError`."""
        expired = len(self._store.expire_leases(BATCH))
        lost = sum(self._find_lost(stage) for stage in STAGES)
        published = 0
        for job in self._store.due(BATCH, self._steps.publish_grace_s):
            self._runtime.publish(job)
            published += 1
        self._runtime.note()
        return Swept(expired, lost, published, self._store.purge(BATCH))

    @cached_property
    def _notifier(self) -> Notifier:
        service = self._runtime.settings.service
        kept_s = service.retention.finished_s
        return Notifier(self._store, self._runtime.blobs, service.webhooks, kept_s=kept_s)

    def notify(self) -> int:
        """Send the webhooks that are due, while there are any, and return how many were tried."""
        return self._notifier.run_for(_NOTIFY_S)

    def purge_blobs(self) -> int:
        """Move what no retention needs to the trash, and return how much; raise `PurgeRefusedError`."""
        return Retention(self._store, self._runtime.blobs, self._runtime.settings.service.retention).run_once()

    def _find_lost(self, stage: Stage) -> int:
        """Make jobs due whose message must be lost, and return how many.

        A job that has waited longer than those whose messages come next should have had its turn; it counts from when
        its message was last published. A mistake costs one message too many, which does no harm; each job is made due
        once in a while only.
        """
        now, lost = self._store.now(), 0
        waiting = [job for job in self._store.waiting(stage, BATCH) if now - job.updated_at > self._lost_after_s]
        if not waiting:
            return 0
        # a worker begins at once what it takes, so a message that is held for longer was taken by one that died
        held, upcoming = self._queues.held_jobs(stage, self._lost_after_s), self._queues.next_jobs(stage)
        turn = min(
            (job.updated_at for job in self._store.get_many(upcoming).values() if job.stage == stage), default=now
        )
        for job in waiting:
            if job.updated_at < turn and job.id not in held and self._may_requeue(job.id):
                lost += self._store.requeue(job.id, stage, "its message was lost")
        return lost

    def _may_requeue(self, job_id: str) -> bool:
        now = self._clock()
        self._requeued = {key: at for key, at in self._requeued.items() if now - at < 3 * self._lost_after_s}
        if job_id in self._requeued:
            return False
        self._requeued[job_id] = now
        return True
