"""What a backend is. It knows pages, schemas and models; it must not know queues, jobs or the environment.

There are two kinds. A `Lane` reads whole documents: `extract` turns pages and a schema into an `Extraction`. A `Model`
has one primitive, `generate_batch`; `backends.extract.ModelLane` makes a lane of it with prompts and a parser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

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
    `glyph_heights_px` are the heights of a lower-case letter in each image's pixels, None where unknown, or empty: a
    model that chooses an image's resolution measures what it is not told. `answer_schema` is the JSON schema of the
    answer where JSON is asked for, for models that can be held to one.
    """

    prompt: str
    images: tuple[Rgb, ...]
    max_tokens: int
    document_id: str = ""
    filename: str = ""
    tier: Tier = "fast"
    glyph_heights_px: tuple[float | None, ...] = ()
    answer_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Generation:
    """A model's answer; `tokens` joined are `text`.

    Aligned with `tokens`, or empty where a model gives none: `token_logprobs` are natural logarithms of the chosen
    tokens' probabilities, `token_entropies` are in nats, `token_margins` differences between the two largest
    log-probabilities. `signals` say in numbers how the request was shown to the model. `finish_reason`: stop, length,
    repetition, refusal, cancelled, deadline.
    """

    text: str
    finish_reason: str
    tokens: tuple[str, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    token_entropies: tuple[float, ...] = ()
    token_margins: tuple[float, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Model(Protocol):
    """A generating model with its one primitive."""

    @property
    def name(self) -> str:
        """What provenance says of it: model, weights and their precision."""
        ...

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order."""
        ...


@runtime_checkable
class PagedModel(Protocol):
    """A model that cannot take any number of images at once."""

    def split(self, request: GenerationRequest) -> Sequence[GenerationRequest]:
        """Return requests that together show all images of one, in their order, each small enough for one prompt."""
        ...


@runtime_checkable
class LoadableModel(Protocol):
    """A model whose weights come after it was made."""

    def load(self) -> None:
        """Load now rather than with the first request; raise `BackendError`."""
        ...
