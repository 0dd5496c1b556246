"""What a backend is. It knows pages, schemas and models; it must not know queues, jobs or the environment.

There are two kinds. A `Lane` reads whole documents: `extract` turns pages and a schema into an `Extraction`. A `Model`
has one primitive, `generate_batch`; `backends.extract.ModelLane` makes a lane of it with prompts and a parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from router.schema import Schema
from router.types import Document, Extraction, PageSource, Rgb, Tier


@dataclass(frozen=True)
class ExtractionRequest:
    """One document to read: only the named fields of the schema (all of them when `fields` is empty)."""

    document: Document
    pages: PageSource
    schema: Schema
    tier: Tier
    fields: tuple[str, ...] = ()

    def wanted(self) -> tuple[str, ...]:
        """Return the names of the fields to read, in schema order."""
        names = self.schema.names()
        return tuple(n for n in names if not self.fields or n in self.fields)


@runtime_checkable
class Lane(Protocol):
    """Reads whole documents."""

    name: str
    relative_cost: float
    """Compute of one document, as a multiple of the embedded fast lane's; the direct-to-deep rule uses the ratio."""

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Return one `FieldValue` for every wanted field; raise `ExtractionError` or `RetryableError`."""
        ...


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt with its pictures; `max_tokens` bounds the answer.

    `document_id`, `filename` and `tier` are for logs and for scripted answers; they are no part of what a model sees.
    """

    prompt: str
    images: tuple[Rgb, ...]
    max_tokens: int
    document_id: str = ""
    filename: str = ""
    tier: Tier = "fast"


@dataclass(frozen=True)
class Generation:
    """A model's answer. `token_logprobs` are natural logarithms aligned with `tokens`; empty when it gives none."""

    text: str
    finish_reason: str
    tokens: tuple[str, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    prompt_tokens: int | None = None


@runtime_checkable
class Model(Protocol):
    """A generating model with its one primitive."""

    name: str

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order."""
        ...
