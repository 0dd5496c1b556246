"""What the blobs know of a job, so that a broker's loss is no loss of jobs: its request, and how it ended.

`requests/ID.json` is written when a job is made, before its sender is answered, and once more when it ends without a
result; a result says by itself whose it is. Knows blobs, no store or queue.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from router.errors import BlobError
from router.types import Frozen
from workers.blobs import Blobs
from workers.jobs import Ended, Job, JobSpec
from workers.submission import JOB_ID

REQUESTS = "requests"


class JobRecord(Frozen):
    """A job as the blobs know it. Times are by the store's clock, in seconds since the epoch."""

    model_config = ConfigDict(extra="ignore")

    job_id: Annotated[str, Field(pattern=rf"^{JOB_ID.pattern}$")]
    spec: JobSpec
    asked: str = ""
    created_at: float = 0.0
    ended: Ended | None = None


def keep_request(blobs: Blobs, job: Job, new: bool) -> None:
    """Write down what a job that was just made is to do; raise `BlobError`.

    A job that still waits for intake is written down too: whoever made it may have died before. It is not synced: a
    power cut that takes it takes no job, unless it takes the broker's file as well.
    """
    if new or job.state == "received":
        _keep(blobs, JobRecord(job_id=job.id, spec=job.spec, asked=job.asked, created_at=job.created_at))


def keep_end(blobs: Blobs, job: Job | None) -> None:
    """Write down that a job ended without a result and is not to be tried again; without it, it would be once more."""
    if job is not None and job.state in {"failed", "cancelled"}:
        ended = Ended(state=job.state, error=job.error)
        record = JobRecord(job_id=job.id, spec=job.spec, asked=job.asked, created_at=job.created_at, ended=ended)
        with suppress(BlobError):
            _keep(blobs, record)


def _keep(blobs: Blobs, record: JobRecord) -> None:
    blobs.put_json(REQUESTS, record.job_id, record.model_dump(mode="json", exclude_defaults=True), durable=False)


def read_record(blobs: Blobs, blob: str) -> JobRecord:
    """Return what was written down in a blob; raise `BlobError` for what is none."""
    try:
        record = JobRecord.model_validate(blobs.get_json(blob))
    except ValidationError as exc:
        raise BlobError(f"the blob {blob} in {blobs.place} is damaged: it is no record of a job") from exc
    if blob != record_blob(record.job_id):
        raise BlobError(f"the blob {blob} in {blobs.place} is damaged: it names job {record.job_id}")
    return record


def record_blob(job_id: str) -> str:
    """Return the name of the blob of a job's record."""
    return f"{REQUESTS}/{job_id}.json"


def record_of_result(blobs: Blobs, blob: str, request: JobRecord | None) -> JobRecord:
    """Return the job of a result, with what was asked for where that is known; raise `BlobError` for no result."""
    try:
        result = blobs.get_json(blob)
        job_id, spec = result["job_id"], request.spec if request else _spec_of(result)
        ended = Ended(
            state=result["status"],
            result_blob=blob,
            lowest_confidence=_lowest(result["fields"]),
            data={name: result[name] for name in _LEFT if name in result},
        )
        created_at = request.created_at if request else 0.0
        asked = request.asked if request else ""
        return JobRecord(job_id=job_id, spec=spec, asked=asked, created_at=created_at, ended=ended)
    except (ValidationError, LookupError, TypeError, AttributeError) as exc:
        raise BlobError(f"the blob {blob} in {blobs.place} is damaged: it is no result of a job") from exc


_LEFT = ("pages", "audit", "calibrated", "wait_ms", "attempts")


def _spec_of(result: dict[str, Any]) -> JobSpec:
    document_id, file = result["document_id"], result["file"]
    return JobSpec(
        document_id=document_id,
        uri="" if file == document_id else file,
        schema_name=result["schema"],
        metadata=result.get("metadata", {}),
    )


def _lowest(fields: dict[str, Any]) -> float | None:
    confidences = [field["confidence"] for field in fields.values()]
    return min((value for value in confidences if value is not None), default=None)
