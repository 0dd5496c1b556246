"""The exception tree. Foreign exceptions are translated into it at the edge, with `from exc`.

DocrouteError
├── DocumentError            the document cannot be read; the message says why and what to do
│   ├── EmptyDocumentError
│   ├── UnsupportedTypeError
│   ├── CorruptDocumentError
│   ├── EncryptedDocumentError
│   └── LimitExceededError   bytes, pages or pixels beyond the configured limits
├── SchemaError              unknown schema, field or kind
├── SettingsError            a setting is out of range or misspelt
├── BackendError
│   ├── BackendUnavailableError  not installed; the message carries the install command
│   ├── ExtractionError          the lane failed on this document
│   └── RetryableError           the same call may succeed later (retryable is True)
│       └── SlotLostError            what an engine kept of a document is gone; asked whole, it may succeed
├── StoreError               the store of jobs cannot be reached or is full (retryable)
│   └── UnconfirmedError         too few replicas have a job yet (retryable)
├── BlobError                a blob cannot be written or read (retryable)
│   └── BlobMissingError     there is no such blob (not retryable)
├── SourceError              a URI is not allowed, or nothing is there
│   └── SourceUnavailableError   the source may answer later (retryable)
├── CallbackError            a webhook URL may not be called
├── JobError                 a job is not what was asked for
│   ├── UnknownJobError          there is no such job, or its retention is over
│   ├── ConflictError            the id is that of a job with another document, schema or tier
│   └── NoResultError            the job has not ended yet, or has ended without a result
├── MessageError             a message in a queue is none that a worker can act on
├── BusyError                too much waits already; try again after `retry_after_s` (retryable)
├── PurgeRefusedError        nothing is deleted for now, since what is old or needed cannot be told
└── StackError               the embedded stack cannot start or go on
"""

from __future__ import annotations


class DocrouteError(Exception):
    """Base of every error this project raises; `str(error)` is safe to show to a user."""

    retryable: bool = False


class DocumentError(DocrouteError):
    """A document cannot be read."""


class EmptyDocumentError(DocumentError):
    """The file has no bytes or no pages."""


class UnsupportedTypeError(DocumentError):
    """The bytes are of no known document type."""


class CorruptDocumentError(DocumentError):
    """The type is known but the content is damaged."""


class EncryptedDocumentError(DocumentError):
    """The document needs a password."""


class LimitExceededError(DocumentError):
    """The document is larger than a configured limit."""


class SchemaError(DocrouteError):
    """A schema is unknown or malformed."""


class SettingsError(DocrouteError):
    """A setting is out of range or misspelt."""


class BackendError(DocrouteError):
    """A lane or model failed."""


class BackendUnavailableError(BackendError):
    """A backend is not installed or its models are missing."""


class ExtractionError(BackendError):
    """A lane failed on this document."""


class RetryableError(BackendError):
    """The same call may succeed later."""

    retryable = True


class SlotLostError(RetryableError):
    """An engine no longer has what it kept of a document."""


class StoreError(DocrouteError):
    """The store of jobs cannot be reached, or refuses to take more."""

    retryable = True


class UnconfirmedError(StoreError):
    """A job is not kept by as many replicas as it must be; the same submission may be repeated."""


class BlobError(DocrouteError):
    """A blob cannot be written or read, or it is damaged."""

    retryable = True


class BlobMissingError(BlobError):
    """There is no such blob."""

    retryable = False


class SourceError(DocrouteError):
    """A document may not be fetched from where its URI points, or is not there."""


class SourceUnavailableError(SourceError):
    """The source did not answer in time or failed; the same URI may work later."""

    retryable = True


class CallbackError(DocrouteError):
    """A webhook URL may not be called, or webhooks are not set up."""


class JobError(DocrouteError):
    """A job is not what was asked for."""


class UnknownJobError(JobError):
    """There is no such job, or its retention is over."""


class ConflictError(JobError):
    """The id is that of another job: one with another document, schema or tier. That job is untouched."""


class NoResultError(JobError):
    """The job has not ended yet, or has ended without a result."""


class MessageError(DocrouteError):
    """A message in a queue cannot be read, or asks for what no worker does."""


class BusyError(DocrouteError):
    """Too much waits already; the same submission may be accepted after `retry_after_s` seconds."""

    retryable = True

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return str(self.args[0])


class PurgeRefusedError(DocrouteError):
    """Nothing is deleted for now: a clock is wrong, or the broker does not know what the blobs know."""


class StackError(DocrouteError):
    """The embedded stack cannot start or go on."""
