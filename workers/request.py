"""What makes two submissions of one id the same, as short digests. Pure: knows no store, document or queue."""

from __future__ import annotations

import hashlib
import json

from router.types import Frozen
from workers.jobs import JobSpec

MOST_CALLBACKS = 8
"""Senders of one job that are told of its end."""
_CHARS = 16


class Request(Frozen):
    """What decides a job's result, and not how it is served.

    `digest`: of document, schema (name and content) and tier; empty where the document is not known yet. `source`: of
    the URI in place of the document; empty where there was none. By it a repetition is known before it is fetched.
    """

    digest: str = ""
    source: str = ""

    @classmethod
    def of(cls, asked: str) -> Request:
        """Return the request that a job says it was made of (`Job.asked`)."""
        digest, source, *_ = [*asked.split(" "), "", ""]
        return cls(digest=digest, source=source)

    def asked(self, spec: JobSpec) -> str:
        """Return what `of` reads, with the digest of a spec's sender."""
        return f"{self.digest} {self.source} {sender_of(spec)}"


def request_of(spec: JobSpec, schema_digest: str = "", uri: str | None = None, fetched: bool = True) -> Request:
    """Return the request of a spec; `uri` as it was sent, `fetched`: whether the spec has the document's id."""
    asked = (spec.schema_name, schema_digest, spec.tier)
    digest = _short("document", spec.document_id, *asked) if fetched else ""
    return Request(digest=digest, source=_short("uri", uri, *asked) if uri else "")


def sender_of(spec: JobSpec) -> str:
    """Return a digest of who is to be told, and in which words; empty where nobody is."""
    if not spec.callback_url:
        return ""
    return _short(spec.callback_url, metadata_json(spec))


def metadata_json(spec: JobSpec) -> str:
    """Return a sender's own words as JSON, equal for equal words."""
    return json.dumps(spec.metadata, sort_keys=True, separators=(",", ":"))


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:_CHARS]
