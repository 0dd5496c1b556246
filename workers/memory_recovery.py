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

    def restore(self, job_id: str, spec: JobSpec, ended: Ended, created_at: float) -> bool:
        with self._lock:
            if self._find(job_id):
                return False
            job = Job(
                id=job_id,
                spec=spec,
                created_at=created_at or self._clock(),
                data={name: value for name, value in ended.data.items() if value is not None},
                result_blob=ended.result_blob,
                lowest_confidence=ended.lowest_confidence,
                error=one_line(ended.error) if ended.error else None,
            )
            record = self._records[job_id] = Record(job)
            self._end(record, ended.state, "recovered", self._retention.finished_s, RECOVERED)
            return True
