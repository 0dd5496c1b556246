"""What the memory store does with ended jobs: dead letters, retention. Knows no server or document."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from workers.memory_webhooks import MemoryWebhooks
from workers.store import DeadLetter


class MemoryEnded(MemoryWebhooks):
    """This part of `workers.store.Store`."""

    # -- dead letters
    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        with self._lock:
            letters = [record.letter for record in self._alive() if record.letter]
        return sorted(letters, key=lambda letter: (letter.at, letter.job_id), reverse=True)[offset : offset + limit]

    def dead_count(self) -> int:
        with self._lock:
            return sum(record.letter is not None for record in self._alive())

    def revive(self, job_id: str) -> bool:
        with self._lock:
            record = self._find(job_id)
            if record is None or record.letter is None:
                return False
            record.letter = record.keep_until = None
            record.expired = False
            for callback in record.callbacks:
                callback.start(None)
            self._change(record, finished_at=None, attempts=0)
            self._wait(record, record.job.stage, record.waits_in, due_in_s=0.0)
            self._log(record, "revived")
            return True

    def drop_dead(self, job_id: str) -> bool:
        with self._lock:
            record = self._find(job_id)
            if record is None or record.letter is None:
                return False
            record.letter = None
            record.keep_until = self._clock() + self._retention.finished_s
            self._log(record, "dropped")
            return True

    # -- housekeeping
    def purge(self, limit: int) -> int:
        with self._lock:
            ended = [job_id for job_id, record in self._records.items() if self._is_over(record)][:limit]
            for job_id in ended:
                self._forget(job_id)
            return len(ended)
