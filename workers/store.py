"""The contract of a job store. Knows jobs, no queue or document.

Every method is atomic. A store is the truth about jobs: queues only carry ids, and a message may arrive twice, late or
never. Times are taken from the store's own clock, so that workers' clocks may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import JsonValue

from router.errors import CallbackError, ConflictError
from router.types import Frozen
from workers.jobs import Begun, Event, Job, JobSpec, Stage, State
from workers.request import MOST_CALLBACKS, Request
from workers.store_recovery import Recoverable
from workers.store_webhooks import WebhookStore

Order = Literal["newest", "oldest", "least_confident"]
READABLE: frozenset[State] = frozenset({"done", "done_with_gaps", "needs_review"})
"""The final states of jobs that have a result."""
STATISTICS = ("late", "expired", "retried", "dead", "webhooks_failed", "put_aside")
"""The counters that are never absent: those of stores, and of messages that were put aside."""
RISKS_KEPT = 5000


class DeadLetter(Frozen):
    """A job that failed for good, with what is needed to understand and to repeat it."""

    job_id: str
    stage: Stage
    error: str
    attempts: int
    at: float
    traceback: str = ""


def check_finish(state: State, lowest_confidence: float | None) -> None:
    """Raise ValueError where a job cannot finish so."""
    if state not in READABLE:
        raise ValueError(f"a job finishes as one of {', '.join(sorted(READABLE))}, not as {state}")
    if lowest_confidence is not None and not 0.0 <= lowest_confidence <= 1.0:
        raise ValueError(f"a confidence lies in [0, 1], not at {lowest_confidence}")


def conflict(job_id: str, spec: JobSpec, known: Job | None) -> ConflictError:
    """Return the error that says of what kind of other request a known id is, without that one's words."""
    other = "schema"
    if known is not None and spec.tier != known.spec.tier:
        other = "tier"
    elif known is not None and spec.schema_name == known.spec.schema_name:
        other = "document" if spec.document_id != known.spec.document_id else "version of its schema"
    return ConflictError(f"job {job_id} is there already with another {other}, and untouched; give another id")


def too_many_callbacks(job_id: str) -> CallbackError:
    """Return the error of a callback beyond those that a job has room for."""
    return CallbackError(f"job {job_id} goes on, but it has {MOST_CALLBACKS} callbacks to call and takes no more")


def index_of(state: State | None, stage: Stage | None, order: Order) -> str:
    """Return the name of the index that lists jobs so; raise ValueError for a state and a stage at once."""
    if state is not None and stage is not None:
        raise ValueError("list jobs of a state or of a stage, not of both")
    if order == "least_confident":
        if stage is not None:
            raise ValueError("jobs of a stage have no confidence yet; list a final state")
        return f"c:{state}" if state else "c"
    if state is not None:
        return f"s:{state}"
    return f"g:{stage}" if stage else "a"


class Store(Recoverable, WebhookStore, Protocol):
    """What workers, clients and operators may do with jobs.

    Methods that take a `token` return False, log the event `late` and count it where that lease is no longer the
    job's: the caller drops what it has. The very same call again, as after an error that left its outcome open, is True
    once more and changes nothing.
    """

    def now(self) -> float:
        """Return the store's clock in seconds since the epoch."""
        ...

    # -- the life of a job
    def create(self, job_id: str, spec: JobSpec, request: Request | None = None) -> tuple[Job, bool]:
        """Return (the job, whether it is new). The id of a refused submission is free again.

        A known id with the same request (by default that of the spec) logs `resubmitted`, and the sender's callback is
        one more to call, at once where the job has ended. Raise `ConflictError` for another request and `CallbackError`
        where `MOST_CALLBACKS` are to be called already; both leave the job alone but for a line in its log.
        """
        ...

    def join(self, job_id: str, spec: JobSpec, request: Request) -> Job | None:
        """Return a known job as `create` does; None for an unknown id, or where only the document can tell."""
        ...

    def refuse(self, job_id: str, spec: JobSpec, request: str, error: str) -> bool:
        """Keep a submission that can become no job as a failed one; False where the id is a job's, which is left alone.

        `request` tells repetitions of the same wrong submission, whose senders are told again.
        """
        ...

    def confirm(self, job_id: str, result_blob: str = "", within_s: float | None = None) -> None:
        """Return when as many replicas have a job, with its result if one is named, as the settings ask for.

        Raise `UnconfirmedError` where they do not within `within_s` (`broker.replicas_within_s`), or the job is gone.
        """
        ...

    def get(self, job_id: str) -> Job | None:
        """Return a job, None when it is unknown or has expired."""
        ...

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return those of some jobs that are known, by id."""
        ...

    def begin(
        self, job_id: str, stage: Stage, worker: str, lease_s: float, max_attempts: int, alone: bool = True
    ) -> Begun:
        """Count an attempt and take the lease, in one step and before any work.

        Without `alone`, a job that may have killed its worker is `risky` and nothing is changed.

        A lease that ran out passes to the new worker at once. A job whose retry is not due yet is `gone`: its message
        is still to come. See `Begun` for what `exhausted` means.
        """
        ...

    def renew(self, job_id: str, token: int, lease_s: float) -> bool:
        """Make a lease last `lease_s` from now; one that ran out but that nobody took is renewed too.

        A refusal is not noted in the job's log: it may only have crossed the end of the step.
        """
        ...

    def advance(
        self, job_id: str, token: int, stage: Stage, after_fast: bool, data: Mapping[str, JsonValue], detail: str = ""
    ) -> bool:
        """End a step: merge `data` into the job's, release the lease, wait for `stage` with attempts at 0."""
        ...

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
        """End a job (done, done_with_gaps or needs_review) with its one result.

        Whatever ends a job, `finish`, `fail`, `cancel` or the last attempt, starts its retention and makes its
        webhook, if any, due.
        """
        ...

    def retry(self, job_id: str, token: int, delay_s: float, error: str) -> bool:
        """Give a step back; it becomes due for its queue after `delay_s`."""
        ...

    def fail(self, job_id: str, token: int, error: str, traceback: str = "", dead: bool = True) -> bool:
        """End a job as failed; `dead` puts it on the dead-letter list (not for documents that cannot be read)."""
        ...

    def cancel(self, job_id: str) -> State | None:
        """Return the job's state after cancelling: `cancelled`, or the final one it had; None for an unknown job."""
        ...

    # -- messages: a job that waits must have a message in its queue
    def published(self, job_id: str, stage: Stage) -> None:
        """Note that the message for a stage was handed to the broker."""
        ...

    def published_many(self, jobs: Sequence[tuple[str, Stage]]) -> None:
        """Note many messages at once."""
        ...

    def due(self, limit: int, grace_s: float) -> list[Job]:
        """Return waiting jobs whose message must be published now, claimed for `grace_s` so that no other sweeper does.

        These are retries whose delay is over and jobs whose message was never noted as published for `grace_s`. They
        count as updated now.
        """
        ...

    def expire_leases(self, limit: int) -> list[Job]:
        """Release leases that ran out (event `expired`) and return those jobs; `due` gives them at once."""
        ...

    def requeue(self, job_id: str, stage: Stage, detail: str = "") -> bool:
        """Make a waiting job due at once, for a message that was lost.

        False when it no longer waits there, or when its message is still to come after the delay of a retry.
        """
        ...

    # -- looking
    def events(self, job_id: str) -> list[Event]:
        """Return a job's log, oldest first."""
        ...

    def jobs(
        self,
        state: State | None = None,
        stage: Stage | None = None,
        order: Order = "newest",
        limit: int = 50,
        offset: int = 0,
    ) -> list[Job]:
        """Return jobs of a state, or of those that wait for or are in a stage, or all; never of both.

        newest, oldest: by creation. least_confident: finished jobs by their lowest confidence, those without one left
        out. Jobs that have expired are passed over, so that a listing may be shorter than its limit.
        """
        ...

    def finished(self, since: float, limit: int) -> list[Job]:
        """Return jobs that ended at or after a time, in the order in which they ended."""
        ...

    def counts(self) -> dict[State, int]:
        """Return how many jobs are in each state."""
        ...

    def waiting_count(self, stage: Stage) -> int:
        """Return how many jobs wait for a stage, those that are worked on left out."""
        ...

    def waiting(self, stage: Stage, limit: int) -> list[Job]:
        """Return jobs that wait for a stage, the longest waiting first."""
        ...

    def waiting_since(self, stage: Stage) -> float | None:
        """Return since when the longest waiting job of a stage has waited; None when none does."""
        ...

    def statistics(self) -> dict[str, float]:
        """Return the counters of `count`, and those the store keeps: late, expired, retried, dead, webhooks_failed."""
        ...

    def count(self, name: str, amount: float = 1.0) -> None:
        """Add to a counter of the whole system."""
        ...

    # -- dead letters
    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        """Return dead letters, newest first."""
        ...

    def dead_count(self) -> int:
        """Return how many dead letters there are."""
        ...

    def revive(self, job_id: str) -> bool:
        """Take a job off the dead-letter list and let it wait for the stage in which it died, with attempts at 0."""
        ...

    def drop_dead(self, job_id: str) -> bool:
        """Take a job off the dead-letter list; it stays failed."""
        ...

    # -- recent traffic, for the escalation budget
    def note_risks(self, risks: Sequence[float]) -> None:
        """Add the risks of a document's fields to the recent traffic (the last few thousand are kept)."""
        ...

    def recent_risks(self) -> list[float]:
        """Return the risks of recent traffic."""
        ...

    # -- housekeeping
    def purge(self, limit: int) -> int:
        """Remove what its retention has run out for, from the indexes too; return how many jobs went."""
        ...

    def hold(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a named lock, as for the one sweeper of many workers; 0 seconds give it back."""
        ...

    def close(self) -> None:
        """Close connections, if there are any."""
        ...
