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
└── BackendError
    ├── BackendUnavailableError  not installed; the message carries the install command
    ├── ExtractionError          the lane failed on this document
    └── RetryableError           the same call may succeed later (retryable is True)
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
