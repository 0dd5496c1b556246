"""What an upstream system asks for, checked and made into a job's id and `JobSpec`. Knows no store, blob or queue."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from router.errors import SourceError
from router.schema import AUTO
from router.types import Frozen
from workers.jobs import MAX_METADATA_CHARS, JobSpec, Priority, job_id
from workers.redact import redact_url
from workers.request import Request, request_of
from workers.schemas import find_schema, schema_digest

NO_DOCUMENT = "0" * 64
"""The document of a job that failed before there was any."""
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_URI_CHARS = 2000
_ID_CHARS = 24


class Submission(Frozen):
    """The arguments of `docroute.submit`, version 1.

    Either `uri` (fetched by a worker, where the settings allow it) or `blob` (the sha256 of an original that was put
    before). `job_id` names the job; without it, it follows from document, schema and options.
    """

    uri: Annotated[str, Field(max_length=MAX_URI_CHARS)] | None = None
    blob: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    schema_name: Annotated[str, Field(alias="schema", max_length=64)] = AUTO
    job_id: Annotated[str, Field(pattern=rf"^{JOB_ID.pattern}$")] | None = None
    priority: Priority = "normal"
    callback_url: Annotated[str, Field(max_length=MAX_URI_CHARS)] | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    tier: Literal["auto", "fast", "deep"] = "auto"
    version: Literal[1] = 1

    @field_validator("metadata", mode="before")
    @classmethod
    def _no_metadata(cls, value: object) -> object:
        return {} if value is None else value

    @model_validator(mode="after")
    def _complete(self) -> Submission:
        if not self.uri and not self.blob:
            raise ValueError("give the document's uri, or blob, the id of an original that is stored already")
        if sum(len(key) + len(value) for key, value in self.metadata.items()) > MAX_METADATA_CHARS:
            raise ValueError(f"metadata is longer than {MAX_METADATA_CHARS} characters in all")
        return self

    def spec(self, document_id: str, audit: bool = False) -> JobSpec:
        """Return what the job is to do with a stored document."""
        return JobSpec(
            document_id=document_id,
            uri=redact_url(self.uri) if self.uri else "",
            schema_name=self.schema_name,
            tier=self.tier,
            priority=self.priority,
            callback_url=self.callback_url,
            metadata=self.metadata,
            audit=audit,
        )


def read_submission(arguments: Mapping[str, JsonValue]) -> Submission:
    """Return the checked arguments of a message; raise `SourceError` naming the first that is wrong."""
    for name, value in arguments.items():
        if not _is_storable({name: value}):
            raise SourceError(
                f"the submission is wrong at {storable(name)}: it holds a lone surrogate, which is no text"
            )
    try:
        return Submission.model_validate(dict(arguments))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "submission"
        raise SourceError(f"the submission is wrong at {where}: {first['msg']}") from exc


def identify(submission: Submission, spec: JobSpec, schemas: str | None, nonce: str = "") -> str:
    """Return the id of the job: the one that was given, or that of document, schema and options.

    Raise `SchemaError` for a schema that is not there.
    """
    return submission.job_id or job_id(spec, schema_digest(find_schema(spec.schema_name, schemas)), nonce)


def asked_for(submission: Submission, spec: JobSpec, schemas: str | None, fetched: bool = True) -> Request:
    """Return what a submission asks for; not `fetched`: the spec's document is not known yet. Raise `SchemaError`."""
    digest = schema_digest(find_schema(spec.schema_name, schemas))
    uri = submission.uri if submission.blob is None else None  # the two may be of different documents
    return request_of(spec, digest, uri, fetched)


@dataclass(frozen=True)
class Refusal:
    """A submission that becomes no job: the id and spec under which it is kept as failed, and a digest of it all."""

    job_id: str
    spec: JobSpec
    request: str

    def notice(self, kind: Literal["conflict", "refused"]) -> Refusal:
        """Return the record that tells the sender that the id is another's; equal for equal submissions."""
        own = hashlib.sha256("\n".join([kind, self.job_id, self.request, self.spec.model_dump_json()]).encode())
        spec = self.spec.model_copy(update={"notice": kind, "asked_id": self.job_id})
        return Refusal(own.hexdigest()[:_ID_CHARS], spec, self.request)


def storable(value: Any) -> Any:
    """Return what a message says with every lone surrogate, which no store or receiver can be told, as `?`."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {storable(key): storable(inner) for key, inner in value.items()}
    return [storable(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_storable(value: Any) -> bool:
    try:
        return bool(json.dumps(value, ensure_ascii=False, default=str).encode())
    except UnicodeEncodeError:
        return False


def refusal_of(arguments: Mapping[str, JsonValue], error: str) -> Refusal:
    """Return how a submission is kept that can become no real job, with its reason; nobody is told at half a URL.

    The id is the given one where it is valid, else a hash of URI, schema and options: the sender can compute neither,
    but finds it by the webhook and in the list of failed jobs.
    """
    callback = _callback(arguments.get("callback_url"))
    arguments = storable(arguments)
    given = arguments.get("job_id")
    parts = [str(arguments.get(key) or "") for key in ("uri", "blob", "schema", "tier")]
    hashed = _hash("unreadable", *parts)
    job = given if isinstance(given, str) and JOB_ID.fullmatch(given) else hashed
    uri = arguments.get("uri")
    metadata = arguments.get("metadata")
    kept = {str(k)[:100]: str(v)[:500] for k, v in metadata.items()} if isinstance(metadata, dict) else {}
    spec = JobSpec(
        document_id=NO_DOCUMENT,
        uri=redact_url(uri)[:MAX_URI_CHARS] if isinstance(uri, str) else "",
        schema_name=str(arguments.get("schema") or AUTO)[:64],
        callback_url=callback,
        metadata=kept if sum(map(len, [*kept, *kept.values()])) <= MAX_METADATA_CHARS else {},
    )
    return Refusal(job, spec, _hash("refused", error, *parts))


def _callback(url: object) -> str | None:
    """Return where to call, None where what was sent is no text or was to be cut."""
    return url if isinstance(url, str) and len(url) <= MAX_URI_CHARS and _is_storable(url) else None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:_ID_CHARS]
