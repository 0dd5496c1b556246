"""A job and the states it goes through. Pure data and rules: knows no store, queue or clock.

    received --intake--> routed --begin--> extracting --advance--> escalated --begin--> extracting --finish--> final
                            ^------ retry --------'  '--- finish --> final ---- cancel in every state before --^

A job waits in the queue of its `stage`, or is worked on under a lease. The lease has a fencing token that grows with
every begin, and whatever a worker wants to change must show the token of the lease it was given: a late twin of a
step, whose lease has passed to another, cannot change anything. Nine digits of a token are chance, so that no two
leases share one, not even where a server that took over has missed the last ones and counts from before them.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from router.types import Frozen, Unit

Stage = Literal["intake", "fast", "deep"]
State = Literal[
    "received", "routed", "extracting", "escalated", "done", "done_with_gaps", "needs_review", "failed", "cancelled"
]
Priority = Literal["high", "normal"]
STAGES: tuple[Stage, ...] = ("intake", "fast", "deep")
FINAL: frozenset[State] = frozenset({"done", "done_with_gaps", "needs_review", "failed", "cancelled"})
STATES: tuple[State, ...] = (
    "received", "routed", "extracting", "escalated", "done", "done_with_gaps", "needs_review", "failed", "cancelled"
)  # fmt: skip
MAX_METADATA_CHARS = 2000
_ID_CHARS = 24


class JobSpec(Frozen):
    """What was asked for; it never changes. `document_id`: sha256 of the bytes, under which their blob is stored."""

    document_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    uri: str = ""
    """Where the document came from, for people; credentials are taken out."""
    schema_name: str = "auto"
    tier: Literal["auto", "fast", "deep"] = "auto"
    priority: Priority = "normal"
    callback_url: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    """The upstream system's own words, given back with the result; at most 2,000 characters in all."""
    audit: bool = False
    """Both lanes read every field, for calibration."""
    notice: Literal["", "conflict", "refused"] = ""
    """Why this is no job but the record of a submission whose id is another's; the sender is told this state."""
    asked_id: str = ""
    """The id that such a submission asked for."""


class Lease(Frozen):
    """Who works on a job and until when (seconds since the epoch, by the store's clock)."""

    token: int
    worker: str
    until: float


class Job(Frozen):
    """A job as the store has it. Times are seconds since the epoch by the store's clock, never a worker's.

    `attempts` counts the begun attempts of this stage. `data` is what a step leaves for the next ones: page count,
    route, names of blobs, fields to read again. `error` is the last failure in one line.
    """

    id: str
    spec: JobSpec
    state: State = "received"
    stage: Stage = "intake"
    attempts: int = 0
    lease: Lease | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0
    finished_at: float | None = None
    result_blob: str | None = None
    lowest_confidence: Unit | None = None
    error: str | None = None
    spent_tokens: tuple[int, ...] = Field(default=(), exclude=True)
    """The last leases under which no step ended, newest first: their holders may have left blobs."""
    asked: str = Field(default="", exclude=True)
    """Digests of the request and of its sender; see `workers.request`."""

    @property
    def is_final(self) -> bool:
        """Return whether nothing will change any more."""
        return self.state in FINAL


class Ended(Frozen):
    """How a job ended. `result_blob` is None where there is no result; `data` is what its steps left."""

    state: State
    result_blob: str | None = None
    lowest_confidence: Unit | None = None
    error: str | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)


class Event(Frozen):
    """One line of a job's log: when, what, in which stage, by which worker, at which attempt, and a detail in words.

    Kinds: created, resubmitted, conflict and refused (another submission of this id, which changed nothing), started,
    advanced, finished, retried, failed, cancelled, expired (a lease ran out), late (a step without a valid lease wanted
    to change the job and was refused), requeued, dead, revived, dropped (from the dead letters), notified (the webhook
    arrived), unnotified (it was given up), recovered (made anew from its result after the broker was lost).
    """

    at: float
    kind: str
    stage: Stage | None = None
    worker: str = ""
    attempt: int = 0
    detail: str = ""


class Begun(Frozen):
    """The answer to a worker that wants to begin a step.

    started: it holds the lease, `job` is what to work on. gone: the job is final, unknown or in another stage, so the
    message is an old one. held: another worker holds a lease that runs. exhausted: too many attempts have begun, and
    the job was put on the dead-letter list; but a job that the fast lane has read is given with a lease (`job.lease`
    is not None), to be finished with what there is and not to be read again (as many times as there are attempts).
    risky: an earlier attempt at this stage ended with its worker; begin it again with `alone`, while nothing else runs
    in this process. No attempt was counted.
    """

    outcome: Literal["started", "gone", "held", "exhausted", "risky"]
    job: Job | None = None


def job_id(spec: JobSpec, schema_digest: str = "", nonce: str = "") -> str:
    """Return the id of a job: equal for the same document, schema (by content) and options; a nonce makes a new one.

    Priority, callback and metadata do not count: they change how a job is served, not what it yields.
    """
    parts = (spec.document_id, spec.schema_name, schema_digest, spec.tier, nonce)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_ID_CHARS]


def waiting_state(stage: Stage, after_fast: bool) -> State:
    """Return the state of a job that waits for a stage; `after_fast`: the fast lane has read it already."""
    if stage == "intake":
        return "received"
    return "escalated" if stage == "deep" and after_fast else "routed"


def running_state(stage: Stage) -> State:
    """Return the state of a job whose stage is worked on."""
    return "received" if stage == "intake" else "extracting"
