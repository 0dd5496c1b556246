"""A submission from the queue made into a job. Knows sources, blobs and the store, no Celery.

A sender of messages gets no answer, so that whatever is wrong with a submission becomes a failed job with the reason,
and a webhook where one was asked for. A job that is there already is never touched: what asks for its id in vain is
kept under an id of its own, from where its sender is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from router.errors import (
    BlobMissingError,
    ConflictError,
    DocrouteError,
    MessageError,
    SourceError,
    SourceUnavailableError,
)
from workers.job_record import keep_request
from workers.jobs import Job, JobSpec
from workers.logs import job_context
from workers.runtime import Runtime
from workers.sources import fetch
from workers.steps import run_step
from workers.steps_failure import one_line
from workers.store import conflict
from workers.submission import (
    NO_DOCUMENT,
    Refusal,
    Submission,
    asked_for,
    identify,
    read_submission,
    refusal_of,
)

LONGEST_WAIT_S = 5.0
_LOG = logging.getLogger(__name__)


def accept(runtime: Runtime, arguments: Mapping[str, Any], worker: str, not_after: str | None = None) -> str:
    """Create the job of a submission and do its intake; return how that ended.

    `not_after`: when, by the store's clock and as ISO 8601 with an offset, the submission expires.
    Raise `BlobError` or `StoreError` where storage cannot be reached: the submission must then be tried again.
    """
    try:
        job, new = _create(runtime, read_submission(arguments), not_after)
    except DocrouteError as exc:
        if exc.retryable and not isinstance(exc, SourceUnavailableError):
            raise
        return _refuse(runtime, arguments, exc)
    except Exception as exc:  # the message goes with this call, and the sender should hear of it
        _LOG.exception("a submission failed")
        return _refuse(runtime, arguments, exc)
    if not new:
        return "known"
    with job_context(job.id, "intake"):
        return run_step(runtime, "intake", job.id, worker)


def refuse_message(runtime: Runtime, arguments: Mapping[str, Any], reason: str) -> str:
    """Keep a submission whose message is refused as a failed job; return how that ended. Raise `StoreError`."""
    return _refuse(runtime, arguments, MessageError(reason))


def _check_time(runtime: Runtime, not_after: str | None) -> None:
    if not_after and datetime.fromisoformat(not_after).timestamp() < runtime.store.now():
        raise SourceError(f"the submission expired at {not_after}, before a worker took it")


def _create(runtime: Runtime, submission: Submission, not_after: str | None) -> tuple[Job, bool]:
    schemas = runtime.settings.service.schemas
    known = _known(runtime, submission, schemas)
    if known is not None:
        keep_request(runtime.blobs, known, new=False)
        return known, False
    _check_time(runtime, not_after)
    document_id = submission.blob or runtime.blobs.put_original(_fetch(runtime, submission.uri or ""))
    spec = submission.spec(document_id)
    job_id = identify(submission, spec, schemas)
    request = asked_for(submission, spec, schemas)
    if submission.blob and not runtime.blobs.has_original(document_id):
        raise BlobMissingError(f"there is no original {document_id}; put it before submitting its id")
    job, new = runtime.store.create(job_id, spec, request)
    keep_request(runtime.blobs, job, new)
    return job, new


def _known(runtime: Runtime, submission: Submission, schemas: str | None) -> Job | None:
    """Return the job of an id that was asked for just so before; raise `ConflictError` where that needs no document."""
    if submission.job_id is None:
        return None
    spec = submission.spec(submission.blob or NO_DOCUMENT)
    request = asked_for(submission, spec, schemas, fetched=submission.blob is not None)
    known = runtime.store.join(submission.job_id, spec, request)
    if known is not None or request.digest:
        return known
    there = runtime.store.get(submission.job_id)
    if there is not None and there.spec.document_id != NO_DOCUMENT and _asks_otherwise(spec, there.spec):
        raise conflict(submission.job_id, spec, there)
    return None


def _asks_otherwise(spec: JobSpec, known: JobSpec) -> bool:
    return (spec.schema_name, spec.tier) != (known.schema_name, known.tier)


def _fetch(runtime: Runtime, uri: str) -> bytes:
    """Fetch a document, again after a short while where the source may answer later."""
    steps = runtime.settings.service.steps
    for attempt in range(1, steps.max_attempts + 1):
        try:
            return fetch(uri, runtime.settings.service.sources, runtime.settings.limits)
        except SourceUnavailableError as exc:
            if attempt == steps.max_attempts:
                raise
            _LOG.warning("a source does not answer, attempt %d: %s", attempt, exc)
            time.sleep(min(steps.retry_wait_s * 2 ** (attempt - 1), LONGEST_WAIT_S))
    raise AssertionError("unreachable")


def _refuse(runtime: Runtime, arguments: Mapping[str, Any], exc: Exception) -> str:
    """Keep a submission that can become no job as a failed one; return `refused`, or `conflict`."""
    error = one_line(exc)
    refusal = refusal_of(arguments, error)
    _LOG.warning("submission %s is refused: %s", refusal.job_id, error)
    if isinstance(exc, ConflictError):
        return _tell(runtime, refusal.notice("conflict"), error)
    if not runtime.store.refuse(refusal.job_id, refusal.spec, refusal.request, error):
        return _tell(runtime, refusal.notice("refused"), f"{error}; the job of that id is untouched")
    return "refused"


def _tell(runtime: Runtime, refusal: Refusal, error: str) -> str:
    runtime.store.refuse(refusal.job_id, refusal.spec, refusal.request, error)
    return str(refusal.spec.notice)
