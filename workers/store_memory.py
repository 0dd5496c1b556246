"""The store in memory, for one process and for tests: the same rules under one lock. Knows no server or document."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from workers.jobs import STATES, Begun, Event, Job, Lease, Stage, State, waiting_state
from workers.memory_records import first
from workers.memory_submitted import MemorySubmitted
from workers.store import Order, check_finish, index_of
from workers.store_codec import last_lines, one_line


class MemoryStore(MemorySubmitted):
    """See `workers.store.Store`. Safe for threads; `clock` gives seconds since the epoch."""

    def now(self) -> float:
        return self._clock()

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    # -- the life of a job
    def confirm(self, job_id: str, result_blob: str = "", within_s: float | None = None) -> None:
        """Do nothing: there are no replicas."""

    def get(self, job_id: str) -> Job | None:
        with self._lock:
            record = self._find(job_id)
            return record.job if record else None

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        found = ((job_id, self.get(job_id)) for job_id in job_ids)
        return {job_id: job for job_id, job in found if job is not None}

    def begin(
        self, job_id: str, stage: Stage, worker: str, lease_s: float, max_attempts: int, alone: bool = True
    ) -> Begun:
        with self._lock:
            record, now = self._find(job_id), self._clock()
            if record is None or record.job.is_final or record.job.stage != stage:
                return Begun(outcome="gone", job=record.job if record else None)
            if record.job.lease and record.job.lease.until > now:
                return Begun(outcome="held", job=record.job)
            if record.due_at is not None and record.due_at > now:
                return Begun(outcome="gone", job=record.job)
            attempts, risky = record.job.attempts, record.expired or record.job.lease is not None
            if risky and not alone and attempts < max_attempts:
                return Begun(outcome="risky", job=record.job)
            if record.job.lease:
                self._expire(record)
            record.take_token()
            if attempts >= max_attempts and (record.waits_in != "escalated" or attempts >= 2 * max_attempts):
                self._die(record, record.job.error or f"{attempts} attempts began and none ended", "")
                return Begun(outcome="exhausted", job=record.job)
            lease = Lease(token=record.token, worker=one_line(worker), until=now + lease_s)
            exhausted = attempts >= max_attempts
            self._start(record, stage, lease, "attempts exhausted, to end with what there is" if exhausted else "")
            return Begun(outcome="exhausted" if exhausted else "started", job=record.job)

    def renew(self, job_id: str, token: int, lease_s: float) -> bool:
        with self._lock:
            record = self._find(job_id)
            lease = record and record.lease_of(token)
            if not record or not lease:
                return False
            renewed = lease.model_copy(update={"until": self._clock() + lease_s})
            record.job = record.job.model_copy(update={"lease": renewed})
            return True

    def advance(
        self, job_id: str, token: int, stage: Stage, after_fast: bool, data: Mapping[str, JsonValue], detail: str = ""
    ) -> bool:
        with self._lock:
            record = self._guarded(job_id, token, "advance", stage, after_fast, repr(data), detail)
            if isinstance(record, bool):
                return record
            record.calls.append((token, ("advance", stage, after_fast, repr(data), detail)))
            self._log(record, "advanced", one_line(detail) or f"to {stage}")
            self._change(record, attempts=0, error=None, data=record.job.data | dict(data))
            record.expired = False
            self._wait(record, stage, waiting_state(stage, after_fast))
            record.unpublished_since = self._clock()
            return True

    def finish(
        self,
        job_id: str,
        token: int,
        state: State,
        result_blob: str,
        lowest_confidence: float | None,
        data: Mapping[str, JsonValue],
        detail: str = "",
    ) -> bool:
        check_finish(state, lowest_confidence)
        with self._lock:
            record = self._guarded(job_id, token, "finish", state, result_blob, lowest_confidence, repr(data), detail)
            if isinstance(record, bool):
                return record
            record.calls.append((token, ("finish", state, result_blob, lowest_confidence, repr(data), detail)))
            self._change(
                record,
                data=record.job.data | dict(data),
                result_blob=result_blob,
                lowest_confidence=lowest_confidence,
            )
            self._end(record, state, "finished", self._retention.finished_s, one_line(detail) or state)
            return True

    def retry(self, job_id: str, token: int, delay_s: float, error: str) -> bool:
        with self._lock:
            record = self._guarded(job_id, token, "retry", delay_s, error)
            if isinstance(record, bool):
                return record
            record.calls.append((token, ("retry", delay_s, error)))
            self._log(record, "retried", one_line(error))
            self._counters["retried"] += 1
            self._spend_token(record)
            self._change(record, error=one_line(error))
            self._wait(record, record.job.stage, record.waits_in, due_in_s=delay_s)
            return True

    def fail(self, job_id: str, token: int, error: str, traceback: str = "", dead: bool = True) -> bool:
        with self._lock:
            record = self._guarded(job_id, token, "fail", error, traceback, dead)
            if isinstance(record, bool):
                return record
            record.calls.append((token, ("fail", error, traceback, dead)))
            if dead:
                self._die(record, one_line(error), last_lines(traceback))
            else:
                self._change(record, error=one_line(error))
                self._end(record, "failed", "failed", self._retention.finished_s, one_line(error))
            return True

    def cancel(self, job_id: str) -> State | None:
        with self._lock:
            record = self._find(job_id)
            if record is None:
                return None
            if not record.job.is_final:
                self._end(record, "cancelled", "cancelled", self._retention.finished_s, "")
            return record.job.state

    # -- messages
    def published(self, job_id: str, stage: Stage) -> None:
        with self._lock:
            record = self._find(job_id)
            if record is not None and record.waits_for(stage):
                record.unpublished_since = None

    def published_many(self, jobs: Sequence[tuple[str, Stage]]) -> None:
        for job_id, stage in jobs:
            self.published(job_id, stage)

    def due(self, limit: int, grace_s: float) -> list[Job]:
        with self._lock:
            now = self._clock()
            waiting = [r for r in self._records.values() if r.waiting_since is not None]
            delayed = [(r.due_at, r) for r in waiting if r.due_at is not None and r.due_at <= now]
            silent = [
                (r.unpublished_since, r)
                for r in waiting
                if r.unpublished_since is not None and r.unpublished_since <= now - grace_s
            ]
            found = [r for _, r in sorted(delayed, key=first) + sorted(silent, key=first)][:limit]
            for record in found:
                record.due_at, record.unpublished_since = None, now
                self._change(record)
            return [record.job for record in found]

    def expire_leases(self, limit: int) -> list[Job]:
        with self._lock:
            now = self._clock()
            leased = [(r.job.lease.until, r) for r in self._records.values() if r.job.lease]
            ended = [r for until, r in sorted(leased, key=first) if until <= now][:limit]
            for record in ended:
                self._expire(record)
                self._wait(record, record.job.stage, record.waits_in, due_in_s=0.0)
            return [record.job for record in ended]

    def requeue(self, job_id: str, stage: Stage, detail: str = "") -> bool:
        with self._lock:
            record = self._find(job_id)
            now = self._clock()
            if record is None or not record.waits_for(stage) or (record.due_at is not None and record.due_at > now):
                return False
            record.due_at, record.unpublished_since = now, None
            self._log_noise(record, "requeued", one_line(detail))
            return True

    # -- looking
    def events(self, job_id: str) -> list[Event]:
        with self._lock:
            record = self._find(job_id)
            return list(record.events) if record else []

    def jobs(
        self,
        state: State | None = None,
        stage: Stage | None = None,
        order: Order = "newest",
        limit: int = 50,
        offset: int = 0,
    ) -> list[Job]:
        index_of(state, stage, order)
        with self._lock:
            jobs = [record.job for record in self._alive()]
        if state is not None:
            jobs = [job for job in jobs if job.state == state]
        if stage is not None:
            jobs = [job for job in jobs if job.stage == stage and not job.is_final]
        if order == "least_confident":
            sure = [(job.lowest_confidence, job.id, job) for job in jobs if job.lowest_confidence is not None]
            jobs = [job for *_, job in sorted(sure, key=lambda entry: entry[:2])]
        else:
            jobs.sort(key=lambda job: (job.created_at, job.id), reverse=order == "newest")
        return jobs[offset : offset + limit]

    def finished(self, since: float, limit: int) -> list[Job]:
        with self._lock:
            ended = [(record.job.finished_at, record.job.id, record.job) for record in self._alive()]
        return [job for at, _, job in sorted(e for e in ended if e[0] is not None and e[0] >= since)][:limit]

    def counts(self) -> dict[State, int]:
        with self._lock:
            states = [record.job.state for record in self._alive()]
        return {state: states.count(state) for state in STATES}

    def waiting_count(self, stage: Stage) -> int:
        with self._lock:
            return sum(record.waits_for(stage) for record in self._records.values())

    def waiting(self, stage: Stage, limit: int) -> list[Job]:
        with self._lock:
            return [record.job for record in self._waiting(stage)][:limit]

    def waiting_since(self, stage: Stage) -> float | None:
        with self._lock:
            waiting = self._waiting(stage)
            return waiting[0].waiting_since if waiting else None

    def statistics(self) -> dict[str, float]:
        with self._lock:
            return dict(self._counters)

    def count(self, name: str, amount: float = 1.0) -> None:
        with self._lock:
            self._counters[name] = self._counters.get(name, 0.0) + amount

    # -- recent traffic
    def note_risks(self, risks: Sequence[float]) -> None:
        with self._lock:
            self._risks.extend(risks)

    def recent_risks(self) -> list[float]:
        with self._lock:
            return list(self._risks)

    def hold(self, name: str, owner: str, seconds: float) -> bool:
        with self._lock:
            holder, until = self._locks.get(name, (owner, 0.0))
            if holder != owner and until > self._clock():
                return False
            self._locks[name] = (owner, self._clock() + seconds)
            return True
