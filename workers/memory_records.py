"""What the memory store keeps of each job, and the changes that its methods share. Knows no server or document."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from workers.jobs import Event, Job, JobSpec, Lease, Stage, State, running_state
from workers.request import MOST_CALLBACKS, sender_of
from workers.service_settings import RetentionSettings
from workers.store import RISKS_KEPT, STATISTICS, DeadLetter

_NOISE_LINES = 200
"""Events that outsiders can repeat without end are logged up to this many lines."""
NOTICE_LINES = 300
"""So far is what the receivers were told, for which a sender may ask again and again."""

_CALLS_KEPT = 4
_TOKENS_KEPT = 20
CHANCES = 10**9


@dataclass
class Callback:
    """One sender's callback and the state of its notification. `metadata` None: the job's own words."""

    url: str
    sender: str
    metadata: dict[str, str] | None = None
    due_at: float | None = None
    dead_at: float | None = None
    attempts: int = 0
    error: str = ""
    since: float = 0.0
    claimed_until: float = 0.0

    def start(self, at: float | None) -> None:
        """Make the notification due, as if it had never been tried; None: not due."""
        self.due_at, self.dead_at, self.attempts, self.error = at, None, 0, ""
        self.claimed_until = 0.0


@dataclass
class Record:
    """A job with what the store alone knows of it. Times are None where they do not apply."""

    job: Job
    events: list[Event] = field(default_factory=list)
    token: int = 0
    expired: bool = False
    """Whether a lease of this stage ran out."""
    calls: deque[tuple[int, object]] = field(default_factory=lambda: deque(maxlen=_CALLS_KEPT))
    """The last calls that changed the job; each that ends a step may come again."""
    waits_in: State = "received"
    waiting_since: float | None = None
    unpublished_since: float | None = None
    due_at: float | None = None
    keep_until: float | None = None
    letter: DeadLetter | None = None
    refused: str | None = None
    """What a refused submission asked for; such a record keeps its id only until that is submitted anew."""
    callbacks: list[Callback] = field(default_factory=list)

    def waits_for(self, stage: Stage) -> bool:
        """Return whether the job waits for a stage."""
        return self.waiting_since is not None and self.job.stage == stage

    def take_token(self) -> None:
        """Make the token of the next lease: a count, and below it nine digits of chance."""
        self.token = (self.token // CHANCES + 1) * CHANCES + chance()

    def lease_of(self, token: int) -> Lease | None:
        """Return the job's lease if it is the token's."""
        return self.job.lease if self.job.lease and self.job.lease.token == token else None

    def add_callback(self, spec: JobSpec, late: bool) -> Callback | None:
        """Return the callback of a sender, a new one where there is room; `late`: with words of its own."""
        sender = sender_of(spec)
        known = next((callback for callback in self.callbacks if callback.sender == sender), None)
        if known is None and len(self.callbacks) < MOST_CALLBACKS:
            known = Callback(spec.callback_url or "", sender, dict(spec.metadata) if late else None)
            self.callbacks.append(known)
        return known


def chance() -> int:
    """Return the part of a token that no count gives."""
    return secrets.randbelow(CHANCES)


def first(entry: tuple[float, Record]) -> float:
    """Return the time of a pair, to sort by."""
    return entry[0]


class MemoryRecords:
    """The records under one lock; the caller of a method with an underscore holds it."""

    def __init__(self, retention: RetentionSettings | None = None, clock: Callable[[], float] = time.time) -> None:
        self._retention = retention or RetentionSettings()
        self._clock = clock
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._counters: dict[str, float] = dict.fromkeys(STATISTICS, 0.0)
        self._risks: deque[float] = deque(maxlen=RISKS_KEPT)
        self._locks: dict[str, tuple[str, float]] = {}

    def _forget(self, job_id: str) -> None:
        """Remove a job; what was still to be told of it is told to nobody."""
        record = self._records.pop(job_id, None)
        pending = [callback for callback in record.callbacks if callback.due_at is not None] if record else []
        self._counters["webhooks_failed"] += len(pending)

    def _is_over(self, record: Record) -> bool:
        return record.keep_until is not None and record.keep_until <= self._clock()

    def _find(self, job_id: str) -> Record | None:
        record = self._records.get(job_id)
        return None if record is None or self._is_over(record) else record

    def _alive(self) -> list[Record]:
        return [record for record in self._records.values() if not self._is_over(record)]

    def _waiting(self, stage: Stage) -> list[Record]:
        waiting = [record for record in self._records.values() if record.waits_for(stage)]
        return sorted(waiting, key=lambda record: record.waiting_since or 0.0)

    def _guarded(self, job_id: str, token: int, *call: object) -> Record | bool:
        """Return the record if the token's lease is the job's, else the answer: whether this very call was applied."""
        record = self._find(job_id)
        if record is not None and (token, call) in record.calls:
            return True
        if record is not None and record.lease_of(token):
            return record
        self._counters["late"] += 1
        if record is not None:
            self._log_noise(record, "late", f"token {token}")
        return False

    def _log(self, record: Record, kind: str, detail: str = "") -> None:
        lease = record.job.lease
        record.events.append(self._event(record.job, kind, lease.worker if lease else "", detail))

    def _log_noise(self, record: Record, kind: str, detail: str = "", most: int = _NOISE_LINES) -> None:
        # Whoever holds the lease has nothing to do with it.
        if len(record.events) < most:
            record.events.append(self._event(record.job, kind, "", detail))

    def _event(self, job: Job, kind: str, worker: str, detail: str) -> Event:
        return Event(at=self._clock(), kind=kind, stage=job.stage, worker=worker, attempt=job.attempts, detail=detail)

    def _change(self, record: Record, **changes: object) -> None:
        record.job = record.job.model_copy(update={"updated_at": self._clock()} | changes)

    def _start(self, record: Record, stage: Stage, lease: Lease, detail: str) -> None:
        record.waiting_since = record.unpublished_since = record.due_at = None
        self._change(record, state=running_state(stage), attempts=record.job.attempts + 1, lease=lease)
        record.calls.append((lease.token, "begin"))
        self._log(record, "started", detail)

    def _expire(self, record: Record) -> None:
        self._counters["expired"] += 1
        self._log(record, "expired", "the worker stopped renewing its lease")
        self._spend_token(record)
        self._change(record, lease=None)
        record.expired = True

    def _spend_token(self, record: Record) -> None:
        spent = (record.token, *record.job.spent_tokens)[:_TOKENS_KEPT]
        record.job = record.job.model_copy(update={"spent_tokens": spent})

    def _wait(self, record: Record, stage: Stage, state: State, due_in_s: float | None = None) -> None:
        now = self._clock()
        self._change(record, state=state, stage=stage, lease=None)
        record.waits_in, record.waiting_since, record.unpublished_since = state, now, None
        record.due_at = None if due_in_s is None else now + due_in_s

    def _end(self, record: Record, state: State, kind: str, keep_s: float, detail: str) -> None:
        now = self._clock()
        record.waiting_since = record.unpublished_since = record.due_at = None
        self._log(record, kind, detail)
        self._change(record, state=state, lease=None, finished_at=now)
        record.keep_until = now + keep_s
        for callback in record.callbacks:
            callback.start(now)

    def _die(self, record: Record, error: str, traceback: str) -> None:
        job = record.job
        record.letter = DeadLetter(
            job_id=job.id, stage=job.stage, error=error, attempts=job.attempts, at=self._clock(), traceback=traceback
        )
        self._counters["dead"] += 1
        self._change(record, error=error)
        self._end(record, "failed", "dead", self._retention.dead_s, error)
