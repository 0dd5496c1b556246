"""One step of one job while it runs: its means, its lease, its times. Knows no queue and decides nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from router.documents import OpenedDocument, open_document
from router.schema import Schema
from workers.job_data import JobData, read_data
from workers.jobs import Job, Lease
from workers.lease import Held
from workers.pipeline import StepTimes
from workers.runtime import Runtime
from workers.schemas import find_schema


@dataclass
class Step:
    """A begun attempt at a stage. Made in the moment in which the store gave the lease."""

    runtime: Runtime
    job: Job
    lease: Lease
    held: Held
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.data = read_data(self.job)
        self.times = StepTimes(dict(self.data.elapsed_ms))
        self._began_at = self.lease.until - self.held.lease_s

    @property
    def schema(self) -> Schema:
        """The schema that was asked for; raise `SchemaError`."""
        return find_schema(self.job.spec.schema_name, self.runtime.settings.service.schemas)

    @property
    def may_stand_in(self) -> bool:
        """Whether the other lane may read what this one cannot: not where one was asked for, and not a second time."""
        return self.job.spec.tier == "auto" and not self.data.gap

    @property
    def attempts_left(self) -> int:
        """How many more attempts the stage has after this one."""
        return max(0, self.runtime.settings.service.steps.max_attempts - self.job.attempts)

    @property
    def wait_s(self) -> float | None:
        """How long the job waited before this attempt, by the store's clock."""
        since = self.job.created_at if self.job.stage == "intake" else self.data.ready_at
        return max(0.0, self._began_at - since) if since else None

    @contextmanager
    def opened(self) -> Iterator[OpenedDocument]:
        """Open the original; raise `DocumentError` or `BlobError`."""
        with self.times.measure("open"):
            data = self.runtime.blobs.open_original(self.job.spec.document_id)
            settings, found = self.runtime.settings, self.data
            opened = open_document(
                data, self.job.spec.uri, settings.limits, found.picture, found.notes, settings.text_layer
            )
        with opened:
            yield opened

    def left(self, **changes: object) -> JobData:
        """Return what this step leaves: the data it found with changes, and its own times and attempts."""
        stage, wait_s = self.job.stage, self.wait_s
        waits = self.data.wait_ms | ({} if wait_s is None else {stage: round(wait_s * 1000, 1)})
        own = {
            "ready_at": round(self._began_at + time.monotonic() - self.began, 3),
            "elapsed_ms": dict(self.times.elapsed_ms),
            "wait_ms": waits,
            "attempts": self.data.attempts | {stage: self.job.attempts},
        }
        return self.data.model_copy(update=own | changes)


def blob_name(job_id: str, token: int) -> str:
    """Return the name under which the holder of a lease keeps what it made; no two attempts share one."""
    return f"{job_id}.{token}"
