"""What the memory store does with ended jobs: dead letters, webhooks, retention. Knows no server or document."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from workers.memory_records import MemoryRecords, first
from workers.store import DeadLetter, Webhook
from workers.store_codec import one_line


class MemoryEnded(MemoryRecords):
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
            record.letter = record.keep_until = record.webhook_due_at = record.webhook_dead_at = None
            record.webhook_attempts, record.webhook_error, record.expired = 0, "", False
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

    # -- webhooks
    def due_webhooks(self, limit: int, claim_s: float) -> list[Webhook]:
        with self._lock:
            now = self._clock()
            timed = [(r.webhook_due_at, r) for r in self._alive() if r.webhook_due_at is not None]
            found = [r for at, r in sorted(timed, key=first) if at <= now][:limit]
            for record in found:
                record.webhook_due_at = now + claim_s
                record.webhook_attempts += 1
            return [record.webhook() for record in found]

    def webhook_sent(self, job_id: str) -> None:
        with self._lock:
            record = self._notifying(job_id)
            if record is not None:
                record.webhook_due_at = None
                self._log(record, "notified")

    def webhook_retry(self, job_id: str, delay_s: float, error: str) -> None:
        with self._lock:
            record = self._notifying(job_id)
            if record is not None:
                record.webhook_due_at, record.webhook_error = self._clock() + delay_s, one_line(error)

    def webhook_dead(self, job_id: str, error: str) -> None:
        with self._lock:
            record = self._notifying(job_id)
            if record is not None:
                record.webhook_due_at, record.webhook_dead_at = None, self._clock()
                record.webhook_error = one_line(error)
                self._counters["webhooks_failed"] += 1
                self._log(record, "unnotified", one_line(error))

    def dead_webhooks(self, limit: int = 100) -> list[Webhook]:
        with self._lock:
            timed = [(r.webhook_dead_at, r) for r in self._alive() if r.webhook_dead_at is not None]
            return [record.webhook() for _, record in sorted(timed, key=first, reverse=True)[:limit]]

    def dead_webhook_count(self) -> int:
        with self._lock:
            return sum(record.webhook_dead_at is not None for record in self._alive())

    def revive_webhook(self, job_id: str) -> bool:
        with self._lock:
            record = self._find(job_id)
            if record is None or record.webhook_dead_at is None:
                return False
            record.webhook_dead_at, record.webhook_due_at = None, self._clock()
            record.webhook_attempts, record.webhook_error = 0, ""
            return True

    def drop_webhook(self, job_id: str) -> bool:
        with self._lock:
            record = self._find(job_id)
            if record is None or record.webhook_dead_at is None:
                return False
            record.webhook_dead_at = None
            self._log(record, "dropped", "webhook")
            return True

    # -- housekeeping
    def purge(self, limit: int) -> int:
        with self._lock:
            ended = [job_id for job_id, record in self._records.items() if self._is_over(record)][:limit]
            for job_id in ended:
                del self._records[job_id]
            return len(ended)
