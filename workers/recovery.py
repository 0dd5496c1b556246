"""Jobs made anew from what the blobs know, after the broker came back empty. Knows store and blobs, no terminal.

First what had ended is restored as it was, then what had not is made again, under its old id. Both change nothing for
a job that is known, so that a recovery may be broken off, run again, and run while workers work.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Literal

from router.errors import BlobError, BlobMissingError, CallbackError, ConflictError
from router.types import Frozen
from workers.blobs import RESULTS, Blobs
from workers.epoch import blobs_epoch, write_epoch
from workers.job_record import REQUESTS, JobRecord, read_record, record_blob, record_of_result
from workers.jobs import Ended, Job
from workers.request import Request
from workers.retention import job_of
from workers.store import Store

Outcome = Literal["ended", "again", "known", "over", "lost", "damaged"]
LOST = "its document was lost together with the broker; submit it again"


class Recovered(Frozen):
    """What became of one job that the blobs know.

    ended: it is there as it had ended, and its webhook is sent (again, with the same event id). again: it waits for
    intake. known: the broker had it. over: its retention had ended. lost: its document is gone, so that it failed.
    damaged: what was written of it cannot be read; `detail` says what.
    """

    job_id: str
    outcome: Outcome
    state: str = ""
    detail: str = ""


class Recovery:
    """One recovery. `publish` sends the message of a job that was made again; a `dry` one changes nothing.

    Every method may raise `StoreError`, or `BlobError` where blobs cannot be listed.
    """

    def __init__(
        self, store: Store, blobs: Blobs, publish: Callable[[Job], object], finished_s: float, dry: bool = False
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._publish = publish
        self._finished_s = finished_s
        self._dry = dry
        self._with_result: set[str] = set()

    def total(self) -> int:
        """Return how many blobs are looked at."""
        return sum(1 for kind in (RESULTS, REQUESTS) for _ in self._blobs.stamped(kind))

    def run(self) -> Iterator[Recovered]:
        """Yield what became of each job; the epoch is set right at the end, when all have been looked at."""
        self._store.now()  # a broker that is away is told before anything is read
        since = (self._blobs.clock() or 0.0) - self._finished_s
        for blob, put_at in self._blobs.stamped(RESULTS):
            self._with_result.add(job_of(blob))
            yield self._guarded(self._result, blob, put_at < since)
        for blob, put_at in self._blobs.stamped(REQUESTS):
            if job_of(blob) not in self._with_result:
                yield self._guarded(self._request, blob, put_at < since)
        self.accept()

    def accept(self) -> None:
        """Take the broker as it is from now on, as one that belongs to these blobs."""
        if not self._dry:
            epoch = blobs_epoch(self._blobs) or secrets.token_hex(8)
            write_epoch(self._blobs, self._store.join_epoch(epoch, replace=True))

    def _guarded(self, recover: Callable[[str, bool], Recovered], blob: str, old: bool) -> Recovered:
        try:
            return recover(blob, old)
        except (ConflictError, CallbackError):  # its id was taken by another a moment ago
            return Recovered(job_id=job_of(blob), outcome="known")
        except BlobError as exc:
            return Recovered(job_id=job_of(blob), outcome="damaged", detail=str(exc))

    def _result(self, blob: str, old: bool) -> Recovered:
        job_id = job_of(blob)
        if self._store.get(job_id):
            return Recovered(job_id=job_id, outcome="known")
        if old:
            return Recovered(job_id=job_id, outcome="over")
        record = record_of_result(self._blobs, blob, self._asked_for(job_id))
        if record.job_id != job_id:
            return Recovered(job_id=job_id, outcome="damaged", detail=f"{blob} is a result of job {record.job_id}")
        return self._restore(record)

    def _asked_for(self, job_id: str) -> JobRecord | None:
        try:
            return read_record(self._blobs, record_blob(job_id))
        except BlobMissingError:  # of a version that wrote none
            return None

    def _request(self, blob: str, old: bool) -> Recovered:
        record = read_record(self._blobs, blob)
        if self._store.get(record.job_id):
            return Recovered(job_id=record.job_id, outcome="known")
        if record.ended:
            return Recovered(job_id=record.job_id, outcome="over") if old else self._restore(record)
        if not self._blobs.has_original(record.spec.document_id):
            self._restore(record.model_copy(update={"ended": Ended(state="failed", error=LOST)}))
            return Recovered(job_id=record.job_id, outcome="lost", state="failed", detail=LOST)
        if self._dry:
            return Recovered(job_id=record.job_id, outcome="again", state="received")
        job, new = self._store.create(record.job_id, record.spec, Request.of(record.asked) if record.asked else None)
        if new:
            self._publish(job)
        return Recovered(job_id=job.id, outcome="again" if new else "known", state=job.state)

    def _restore(self, record: JobRecord) -> Recovered:
        ended = record.ended
        assert ended is not None
        asked = record.spec, ended, record.created_at, record.asked
        known = not self._dry and not self._store.restore(record.job_id, *asked)
        return Recovered(job_id=record.job_id, outcome="known" if known else "ended", state=ended.state)
