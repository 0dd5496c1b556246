"""How the memory store takes submissions: new jobs, known ones, and what is refused. Knows no server or document."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from workers.jobs import Job, JobSpec
from workers.memory_records import Record
from workers.memory_recovery import MemoryRecovery
from workers.request import Request, request_of, sender_of
from workers.store import conflict, too_many_callbacks
from workers.store_codec import one_line


class MemorySubmitted(MemoryRecovery):
    """This part of `workers.store.Store`."""

    def create(self, job_id: str, spec: JobSpec, request: Request | None = None) -> tuple[Job, bool]:
        with self._lock:
            asked = request or request_of(spec)
            known = self.join(job_id, spec, asked)
            if known is not None:
                return known, False
            return self._make(job_id, spec, asked.asked(spec)).job, True

    def join(self, job_id: str, spec: JobSpec, request: Request) -> Job | None:
        with self._lock:
            record = self._find(job_id)
            if record is None or record.refused is not None:
                return None
            same = _is_same(record.job, spec, request)
            if not same and not request.digest:
                return None
            if not same:
                self._log_noise(record, "conflict", "another document, schema or tier was submitted with this id")
                raise conflict(job_id, spec, record.job)
            self._resubmit(record, spec)
            return record.job

    def refuse(self, job_id: str, spec: JobSpec, request: str, error: str) -> bool:
        with self._lock:
            known = self._find(job_id)
            if known is not None and known.refused is None:
                self._log_noise(known, "refused", f"a wrong submission of this id: {one_line(error)}")
                return False
            if known is not None and known.refused == request:
                self._resubmit(known, spec, refuse_more=False)
                return True
            record = self._make(job_id, spec, f"!{request}  {sender_of(spec)}")
            record.refused = request
            self._change(record, error=one_line(error))
            self._end(record, "failed", "failed", self._retention.finished_s, one_line(error))
            return True

    def _make(self, job_id: str, spec: JobSpec, asked: str) -> Record:
        now = self._clock()
        job = Job(id=job_id, spec=spec, created_at=now, updated_at=now, asked=asked)
        record = Record(job, waiting_since=now, unpublished_since=now)
        if spec.callback_url:
            record.add_callback(spec, late=False)
        self._forget(job_id)
        self._records[job_id] = record
        record.calls.append((0, "create"))
        self._log(record, "created")
        return record

    def _resubmit(self, record: Record, spec: JobSpec, refuse_more: bool = True) -> None:
        self._log_noise(record, "resubmitted")
        callback = record.add_callback(spec, late=True) if spec.callback_url else None
        if callback is None and spec.callback_url and refuse_more:
            raise too_many_callbacks(record.job.id)
        if callback is not None and record.job.is_final:
            callback.dead_at = None
            if callback.due_at is None:
                callback.start(self._clock())


def _is_same(job: Job, spec: JobSpec, request: Request) -> bool:
    known = Request.of(job.asked)
    if not known.digest:  # made anew from its result, which says no more
        return bool(request.digest) and spec.document_id == job.spec.document_id
    return request.digest == known.digest or bool(request.source and request.source == known.source)
