"""What the memory store does to notice and to mend its own loss. Knows jobs, no blob."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from workers.jobs import Ended, Job, JobSpec
from workers.memory_ended import MemoryEnded
from workers.memory_records import Record
from workers.store_codec import one_line
from workers.store_recovery import RECOVERED


class MemoryRecovery(MemoryEnded):
    """This part of `workers.store.Store`."""

    _epoch: str | None = None

    def epoch(self) -> str | None:
        return self._epoch

    def join_epoch(self, epoch: str, replace: bool = False) -> str:
        with self._lock:
            if self._epoch is None or replace:
                self._epoch = epoch
            return self._epoch

    def read_again(self, job_id: str, detail: str) -> bool:
        with self._lock:
            record = self._find(job_id)
            if record is None or not record.job.is_final:
                return False
            record.letter = record.keep_until = None
            record.expired = False
            for callback in record.callbacks:
                callback.start(None)
            nothing = dict.fromkeys(("finished_at", "result_blob", "lowest_confidence", "error"))
            self._change(record, attempts=0, **nothing)
            self._wait(record, "intake", "received", due_in_s=0.0)
            self._log(record, "revived", one_line(detail))
            return True

    def restore(self, job_id: str, spec: JobSpec, ended: Ended, created_at: float, asked: str = "") -> bool:
        with self._lock:
            if self._find(job_id):
                return False
            job = Job(
                id=job_id,
                spec=spec,
                created_at=created_at or self._clock(),
                asked=asked,
                data={name: value for name, value in ended.data.items() if value is not None},
                result_blob=ended.result_blob,
                lowest_confidence=ended.lowest_confidence,
                error=one_line(ended.error) if ended.error else None,
            )
            self._forget(job_id)
            record = self._records[job_id] = Record(job)
            if spec.callback_url:
                record.add_callback(spec, late=False)
            self._end(record, ended.state, "recovered", self._retention.finished_s, RECOVERED)
            return True
