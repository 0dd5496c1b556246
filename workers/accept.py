"""A submission from the queue made into a job. Knows sources, blobs and the store, no Celery.

A sender of messages gets no answer, so that whatever is wrong with a submission becomes a failed job with the reason,
and a webhook where one was asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from router.errors import BlobMissingError, DocrouteError, MessageError, SourceError, SourceUnavailableError
from workers.job_record import keep_request
from workers.jobs import Job
from workers.logs import job_context
from workers.runtime import Runtime
from workers.sources import fetch
from workers.steps import run_step
from workers.steps_failure import one_line
from workers.submission import Submission, failed_job, identify, read_submission, storable

LONGEST_WAIT_S = 5.0
_LOG = logging.getLogger(__name__)


def accept(runtime: Runtime, arguments: Mapping[str, Any], worker: str, not_after: str | None = None) -> str:
    """Create the job of a submission and do its intake; return how that ended.

    `not_after`: when, by the store's clock and as ISO 8601 with an offset, the submission expires.
    Raise `BlobError` or `StoreError` where storage cannot be reached: the submission must then be tried again.
    """
    try:
        _check_time(runtime, not_after)
        job, new = _create(runtime, read_submission(arguments))
    except DocrouteError as exc:
        if exc.retryable and not isinstance(exc, SourceUnavailableError):
            raise
        return _refuse(runtime, arguments, exc, worker)
    except Exception as exc:  # the message goes with this call, and the sender should hear of it
        _LOG.exception("a submission failed")
        return _refuse(runtime, arguments, exc, worker)
    if not new:
        return "known"
    with job_context(job.id, "intake"):
        return run_step(runtime, "intake", job.id, worker)


def refuse_message(runtime: Runtime, arguments: Mapping[str, Any], reason: str, worker: str) -> str:
    """Keep a submission whose message is refused as a failed job; return how that ended. Raise `StoreError`."""
    return _refuse(runtime, arguments, MessageError(reason), worker)


def _check_time(runtime: Runtime, not_after: str | None) -> None:
    if not_after and datetime.fromisoformat(not_after).timestamp() < runtime.store.now():
        raise SourceError(f"the submission expired at {not_after}, before a worker took it")


def _create(runtime: Runtime, submission: Submission) -> tuple[Job, bool]:
    document_id = submission.blob or runtime.blobs.put_original(_fetch(runtime, submission.uri or ""))
    if submission.blob and not runtime.blobs.has_original(document_id):
        raise BlobMissingError(f"there is no original {document_id}; put it before submitting its id")
    spec = submission.spec(document_id)
    job_id = identify(submission, spec, runtime.settings.service.schemas)
    job, new = runtime.store.create(job_id, spec)
    keep_request(runtime.blobs, job, new)
    return job, new


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


def _refuse(runtime: Runtime, arguments: Mapping[str, Any], exc: Exception, worker: str) -> str:
    """Keep a submission that can become no job as a failed one."""
    job_id, spec = failed_job(storable(arguments))
    _LOG.warning("submission %s is refused: %s", job_id, exc)
    runtime.store.create(job_id, spec)
    steps = runtime.settings.service.steps
    begun = runtime.store.begin(job_id, "intake", worker, steps.lease_s, steps.max_attempts)
    if begun.job is not None and begun.job.lease is not None:
        runtime.store.fail(job_id, begun.job.lease.token, one_line(exc), dead=False)
    return "refused"
