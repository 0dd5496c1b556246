"""What the memory store does with notifications. Knows no HTTP and no signature."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from workers import store_webhooks as rules
from workers.memory_records import NOTICE_LINES, Callback, MemoryRecords, Record
from workers.store_codec import one_line
from workers.store_webhooks import Answered, Receiver, Webhook, receiver_of


@dataclass
class Breaker:
    """What is known of a receiver: see the constants of the contract."""

    failures: int = 0
    pauses: int = 0
    open_until: float = 0.0
    served: float = 0.0


class MemoryWebhooks(MemoryRecords):
    """This part of `workers.store.Store`."""

    @cached_property
    def _breakers(self) -> dict[str, Breaker]:
        return {}

    def due_webhooks(self, limit: int, claim_s: float, per_receiver: int = 4) -> list[Webhook]:
        with self._lock:
            now = self._clock()
            lines = [self._line(place, per_receiver) for place in self._places_in_turn()]
            turns = [line[turn] for turn in range(per_receiver) for line in lines if turn < len(line)][:limit]
            for _, _, callback in turns:
                callback.due_at = callback.claimed_until = now + claim_s
                callback.since = callback.since if callback.attempts else now
                callback.attempts += 1
                self._breakers.setdefault(receiver_of(callback.url), Breaker()).served = now
            return [_webhook(name, record, callback) for name, record, callback in turns]

    def _places_in_turn(self) -> list[str]:
        """Return the receivers of what is due, those that were not served for the longest time first."""
        turns: dict[str, tuple[float, float]] = {}
        for _, _, callback in self._due():
            place = receiver_of(callback.url)
            turn = self._breaker(place).served, callback.due_at or 0.0
            turns[place] = min(turn, turns.get(place, turn))
        return sorted(turns, key=lambda place: turns[place])

    def _line(self, place: str, per_receiver: int) -> list[tuple[str, Record, Callback]]:
        now, open_until = self._clock(), self._breaker(place).open_until
        at_once = 0 if open_until > now else 1 if open_until else per_receiver
        flying = sum(c.claimed_until > now for *_, c in self._callbacks() if receiver_of(c.url) == place)
        line = [entry for entry in self._due() if receiver_of(entry[2].url) == place]
        return sorted(line, key=lambda e: (e[2].due_at, e[0]))[: max(0, at_once - flying)]

    def _due(self) -> list[tuple[str, Record, Callback]]:
        now = self._clock()
        return [entry for entry in self._callbacks() if entry[2].due_at is not None and entry[2].due_at <= now]

    def _breaker(self, place: str) -> Breaker:
        return self._breakers.get(place) or Breaker()

    def webhook_sent(self, webhook_id: str) -> None:
        with self._lock:
            record, callback = self._notifying(webhook_id)
            if record and callback:
                self._answered(callback, "answered")
                callback.due_at = None
                slot = record.callbacks.index(callback) + 1
                self._log_noise(record, "notified", f"callback {slot}" if slot > 1 else "", NOTICE_LINES)

    def webhook_retry(self, webhook_id: str, delay_s: float, error: str, did: Answered = "") -> None:
        with self._lock:
            _, callback = self._notifying(webhook_id)
            if callback:
                self._answered(callback, did)
                callback.due_at, callback.error = self._clock() + delay_s, one_line(error)

    def webhook_dead(self, webhook_id: str, error: str, did: Answered = "") -> None:
        with self._lock:
            record, callback = self._notifying(webhook_id)
            if record and callback:
                self._answered(callback, did)
                callback.due_at, callback.dead_at, callback.error = None, self._clock(), one_line(error)
                self._counters["webhooks_failed"] += 1
                self._log_noise(record, "unnotified", one_line(error), NOTICE_LINES)

    def _answered(self, callback: Callback, did: Answered) -> None:
        now, place = self._clock(), receiver_of(callback.url)
        callback.claimed_until = 0.0
        breaker = self._breakers.setdefault(place, Breaker())
        if did == "answered":
            self._breakers[place] = Breaker(served=breaker.served)
        elif did == "failed" and breaker.open_until <= now:
            breaker.failures += 1
            if breaker.failures >= rules.BREAK_AFTER:
                breaker.pauses += 1
                breaker.open_until = now + rules.pause_s(breaker.pauses)

    def receivers(self, limit: int = 100) -> list[Receiver]:
        with self._lock:
            waiting = Counter(receiver_of(c.url) for *_, c in self._callbacks() if c.due_at is not None)
            breakers = {place: self._breaker(place) for place in waiting}
        found = [
            Receiver(place=place, waiting=waiting[place], failures=breaker.failures, open_until=breaker.open_until)
            for place, breaker in breakers.items()
        ]
        return sorted(found, key=lambda receiver: receiver.open_until)[:limit]

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
        since=callback.since,
    )
