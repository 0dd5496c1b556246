"""The frame of every step: begin, work under a lease, and one ending. Knows no Celery; messages are published by the
runtime's function.

Nothing but the store decides: a message for a job that is elsewhere by now is dropped, a result that comes late is
thrown away, and what cannot be written down is done again after its lease has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from router.errors import BlobError, DocrouteError, StoreError
from workers.blobs import EXTRACTIONS, RESULTS
from workers.endings import Advance, Ending, Fail, Finish, Retry
from workers.job_data import changes
from workers.job_record import keep_end
from workers.jobs import Begun, Job, Stage
from workers.runtime import Runtime, StepReport
from workers.serialise import Json, result_json
from workers.step import Step, blob_name
from workers.step_report import report_of
from workers.steps_failure import ending_of, retry_or_fail, stand_in
from workers.steps_intake import intake
from workers.steps_lanes import deep, fast

KEPT_WITHIN_S = 0.2
WORK: dict[Stage, Callable[[Step], Ending]] = {"intake": intake, "fast": fast, "deep": deep}
_LOG = logging.getLogger(__name__)


def run_step(runtime: Runtime, stage: Stage, job_id: str, worker: str) -> str:
    """Do one stage of a job, publish the next, and return in a word or two how it ended.

    Raise `StoreError`, or `BlobError` before anything has begun, where the job must wait for what it needs.
    """
    runtime.storage.require()
    steps = runtime.settings.service.steps
    for alone in (False, True):
        # The gate comes first: whoever waits behind it has begun nothing that would die with another's process.
        with runtime.gate.passage(alone):
            begun = runtime.store.begin(job_id, stage, worker, steps.lease_s, steps.max_attempts, alone)
            if begun.outcome != "risky":
                return _run_begun(runtime, stage, job_id, begun)
    raise AssertionError("unreachable")


def _run_begun(runtime: Runtime, stage: Stage, job_id: str, begun: Begun) -> str:
    job = begun.job
    if job is None or job.lease is None or begun.outcome not in {"started", "exhausted"}:
        _LOG.info("job %s: nothing to do in %s (%s)", job_id, stage, begun.outcome)
        return begun.outcome
    with runtime.leases.hold(job_id, job.lease.token, runtime.settings.service.steps.lease_s) as held:
        step = Step(runtime, job, job.lease, held)
        report = _run(step, exhausted=begun.outcome == "exhausted")
    runtime.observe(report)
    elapsed_ms = report.elapsed_s * 1000
    _LOG.info("job %s: %s %s in %.0f ms, attempt %d", job_id, stage, report.outcome, elapsed_ms, job.attempts)
    return report.outcome


def _run(step: Step, exhausted: bool) -> StepReport:
    runtime, held = step.runtime, step.held
    with runtime.leases.deadline(held, runtime.settings.document_timeout_s):
        ending = _gave_up(step) if exhausted else _work(step)
    try:
        outcome = settle(step, ending)
    except BlobError as exc:
        runtime.storage.doubt(exc)
        ending = retry_or_fail(step, exc)
        outcome = settle(step, ending)
    report = report_of(step, ending, outcome)
    if report.fields:
        runtime.traffic.count(report.fields, report.escalated)
    return report


def _work(step: Step) -> Ending:
    try:
        return WORK[step.job.stage](step)
    except Exception as exc:
        if isinstance(exc, BlobError):
            step.runtime.storage.doubt(exc)
        if not isinstance(exc, DocrouteError):
            _LOG.exception("job %s: the %s step failed", step.job.id, step.job.stage)
        return ending_of(step, exc)


def _gave_up(step: Step) -> Ending:
    """End a job whose workers died at its deep reading with what the fast lane read."""
    error = step.job.error or f"its worker died {step.job.attempts - 1} times"
    return stand_in(step, error) or Fail(error, dead=True)


def settle(step: Step, ending: Ending) -> str:
    """Write an ending down, publish what follows, and return it in a word; raise `StoreError`, `BlobError`."""
    store, job, token = step.runtime.store, step.job, step.lease.token
    if isinstance(ending, Advance):
        return _advance(step, ending)
    if isinstance(ending, Finish):
        return _finish(step, ending)
    if isinstance(ending, Retry):
        _LOG.warning("job %s: %s failed, again in %.0f s: %s", job.id, job.stage, ending.delay_s, ending.error)
        return "retried" if store.retry(job.id, token, ending.delay_s, ending.error) else "late"
    _LOG.warning("job %s: %s failed: %s", job.id, job.stage, ending.error)
    if not store.fail(job.id, token, ending.error, ending.traceback, ending.dead):
        return "late"
    if not ending.dead:  # a dead letter may be tried again
        keep_end(step.runtime.blobs, job.model_copy(update={"state": "failed", "error": ending.error}))
    return "failed"


def _advance(step: Step, ending: Advance) -> str:
    store, job = step.runtime.store, step.job
    data = changes(ending.data, job)
    if not store.advance(job.id, step.lease.token, ending.stage, ending.after_fast, data, ending.detail):
        _discard(step, ending.left_blob)
        return "late"
    step.runtime.publish(job.model_copy(update={"stage": ending.stage, "data": job.data | data, "lease": None}))
    return f"to {ending.stage}"


def _finish(step: Step, ending: Finish) -> str:
    job, result = step.job, ending.result
    blob = step.runtime.blobs.put_json(RESULTS, blob_name(job.id, step.lease.token), result_document(step, ending))
    confidences = [merged.chosen.confidence for merged in result.fields.values()]
    lowest = min((value for value in confidences if value is not None), default=None)
    data = changes(ending.data, job)
    if not step.runtime.store.finish(job.id, step.lease.token, result.status, blob, lowest, data, ending.detail):
        _discard(step, blob)
        return "late"
    _clear_after(step, blob, ending.used_blob)
    return str(result.status)


def _clear_after(step: Step, result_blob: str, used_blob: str | None) -> None:
    """Remove the reading that was used, and what attempts wrote that did not hand it over, as of a killed worker.

    Not where the end is known to one server only: if that one fails, the step is done again and needs them.
    """
    names = [blob_name(step.job.id, token) for token in step.job.spent_tokens]
    blobs = [f"{kind}/{name}.json" for name in names for kind in (RESULTS, EXTRACTIONS)]
    blobs += [used_blob] if used_blob else []
    with suppress(BlobError, StoreError):
        if blobs:
            step.runtime.store.confirm(step.job.id, result_blob, KEPT_WITHIN_S)
        for blob in blobs:
            step.runtime.blobs.delete(blob)


def result_document(step: Step, ending: Finish) -> Json:
    """Return the JSON that a finished job's result is."""
    spec, data = step.job.spec, ending.data
    return result_json(spec.uri or spec.document_id, ending.result, ending.schema) | {
        "job_id": step.job.id,
        "metadata": dict(spec.metadata),
        "audit": data.audit,
        "pages": data.pages,
        "wait_ms": data.wait_ms,
        "attempts": data.attempts,
    }


def _discard(step: Step, blob: str | None) -> None:
    """Remove a blob of a step that came late, unless the job names it: then only the store's answer had been lost."""
    if blob is None:
        return
    job: Job | None = step.runtime.store.get(step.job.id)
    if job is None or blob not in {job.result_blob, job.data.get("extraction")}:
        with suppress(BlobError):
            step.runtime.blobs.delete(blob)
