"""What the memory store does with notifications. Knows no HTTP and no signature."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from collections.abc import Iterator

from workers.memory_records import Callback, MemoryRecords, Record
from workers.store_codec import one_line
from workers.store_webhooks import Webhook


class MemoryWebhooks(MemoryRecords):
    """This part of `workers.store.Store`."""

    def due_webhooks(self, limit: int, claim_s: float) -> list[Webhook]:
        with self._lock:
            now = self._clock()
            timed = [(c.due_at, name, r, c) for name, r, c in self._callbacks() if c.due_at is not None]
            found = [entry for entry in sorted(timed, key=lambda e: e[:2]) if entry[0] <= now][:limit]
            for *_, callback in found:
                callback.due_at = now + claim_s
                callback.attempts += 1
            return [_webhook(name, record, callback) for _, name, record, callback in found]

    def webhook_sent(self, webhook_id: str) -> None:
        with self._lock:
            record, callback = self._notifying(webhook_id)
            if record and callback:
                callback.due_at = None
                slot = record.callbacks.index(callback) + 1
                self._log(record, "notified", f"callback {slot}" if slot > 1 else "")

    def webhook_retry(self, webhook_id: str, delay_s: float, error: str) -> None:
        with self._lock:
            _, callback = self._notifying(webhook_id)
            if callback:
                callback.due_at, callback.error = self._clock() + delay_s, one_line(error)

    def webhook_dead(self, webhook_id: str, error: str) -> None:
        with self._lock:
            record, callback = self._notifying(webhook_id)
            if record and callback:
                callback.due_at, callback.dead_at, callback.error = None, self._clock(), one_line(error)
                self._counters["webhooks_failed"] += 1
                self._log(record, "unnotified", one_line(error))

    def dead_webhooks(self, limit: int = 100) -> list[Webhook]:
        with self._lock:
            timed = [(c.dead_at, name, r, c) for name, r, c in self._callbacks() if c.dead_at is not None]
            newest = sorted(timed, key=lambda entry: entry[:2], reverse=True)[:limit]
            return [_webhook(name, record, callback) for _, name, record, callback in newest]

    def dead_webhook_count(self) -> int:
        with self._lock:
            return sum(callback.dead_at is not None for *_, callback in self._callbacks())

    def revive_webhook(self, webhook_id: str) -> bool:
        with self._lock:
            _, callback = self._named(webhook_id)
            if callback is None or callback.dead_at is None:
                return False
            callback.start(self._clock())
            return True

    def drop_webhook(self, webhook_id: str) -> bool:
        with self._lock:
            record, callback = self._named(webhook_id)
            if record is None or callback is None or callback.dead_at is None:
                return False
            callback.dead_at = None
            self._log(record, "dropped", "webhook")
            return True

    def _callbacks(self) -> Iterator[tuple[str, Record, Callback]]:
        for record in self._alive():
            for slot, callback in enumerate(record.callbacks, 1):
                yield (record.job.id if slot == 1 else f"{record.job.id}.{slot}"), record, callback

    def _named(self, webhook_id: str) -> tuple[Record | None, Callback | None]:
        job_id, dot, slot = webhook_id.partition(".")
        record, index = self._find(job_id), int(slot) - 1 if dot else 0
        if record is None or index >= len(record.callbacks):
            return None, None
        return record, record.callbacks[index]

    def _notifying(self, webhook_id: str) -> tuple[Record | None, Callback | None]:
        record, callback = self._named(webhook_id)
        return (None, None) if callback is None or callback.due_at is None else (record, callback)


def _webhook(name: str, record: Record, callback: Callback) -> Webhook:
    return Webhook(
        id=name,
        job_id=record.job.id,
        url=callback.url,
        attempts=callback.attempts,
        error=callback.error,
        metadata=callback.metadata,
    )
