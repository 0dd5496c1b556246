"""What a caller of the client gives with a document, and what it gets back. Knows no store, blob or message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from router.errors import DocrouteError
from workers.jobs import Priority, State
from workers.local import file_name
from workers.redact import redact_url

Source = Path | bytes | str
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Submitted:
    """What became of one submission: a job, or the error that kept it from becoming one, never both.

    `new` is False where the same document was submitted before with the same schema and options.
    """

    source: str
    job_id: str = ""
    state: State = "received"
    new: bool = True
    error: DocrouteError | None = None


class Options(TypedDict, total=False):
    """What `submit` and `submit_many` take beside the document.

    `schema`: a built-in name or one of the folder `service.schemas`. `tier`: let each field decide (auto), or force one
    lane. `callback_url`: is told when the job has ended. `metadata`: your own words, given back with the result.
    `force`: read it again even if the same was submitted before.
    """

    schema: str
    tier: Literal["auto", "fast", "deep"]
    priority: Priority
    callback_url: str | None
    metadata: Mapping[str, str]
    force: bool


def is_uri(source: str) -> bool:
    """Return whether a text is a URI and no path."""
    return _URI.match(source) is not None


def source_name(source: Source) -> str:
    """Return what a source is called in results and messages, without secrets of a URI."""
    if isinstance(source, bytes):
        return ""
    if isinstance(source, str) and is_uri(source):
        return redact_url(source)
    return file_name(Path(source))
