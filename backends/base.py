"""What a backend is. It knows pages, schemas and models; it must not know queues, jobs or the environment.

There are two kinds. A `Lane` reads whole documents: `extract` turns pages and a schema into an `Extraction`. A `Model`
has one primitive, `generate_batch`; `backends.extract.ModelLane` makes a lane of it with prompts and a parser.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
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
    model that chooses an image's resolution measures what it is not told. `captions` are texts before the images, one
    for each, or empty. `answer_schema` is the JSON schema of the answer where JSON is asked for, for models that can be
    held to one.
    """

    prompt: str
    images: tuple[Rgb, ...]
    max_tokens: int
    document_id: str = ""
    filename: str = ""
    tier: Tier = "fast"
    glyph_heights_px: tuple[float | None, ...] = ()
    captions: tuple[str, ...] = ()
    answer_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Generation:
    """A model's answer; `tokens` joined are `text`. The token that ended the answer is the last one, an empty piece.

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


Dialogue = Generator[GenerationRequest, Generation, None]
"""Requests about the same images, one after the other: each is sent the answer to the one before.

Every request could be asked alone: its prompt says all that the model needs to know. All of them hold the same tuple of
images, so that a model may keep what it made of them.
"""


@runtime_checkable
class ConversingModel(Protocol):
    """A model that reads the images of a dialogue once."""

    def converse(self, dialogues: Sequence[Dialogue]) -> None:
        """Run all dialogues to their ends, at the same time; raise what a request or a dialogue raises."""
        ...


@runtime_checkable
class PagedModel(Protocol):
    """A model that cannot take any number of images at once."""

    def split(self, request: GenerationRequest) -> Sequence[GenerationRequest]:
        """Return requests that together show all images of one, in their order, each small enough for one prompt."""
        ...


_AHEAD_SHARE, _LEAST_AHEAD = 0.25, 2


@runtime_checkable
class LoadableModel(Protocol):
    """A model whose weights come after it was made."""

    def load(self) -> None:
        """Load now rather than with the first request; raise `BackendError`."""
        ...


@dataclass(frozen=True)
class ModelFacts:
    """What a model is, for provenance and metrics.

    `weights_hash` covers the checkpoint's weights. `precision`, `device` and `slots` (requests read at once) are there
    once it is loaded, `ready_s` is how long its engine took to be ready.
    """

    id: str
    revision: str | None
    weights_hash: str
    precision: str = ""
    device: str = ""
    slots: int = 0
    ready_s: float = 0.0
    loaded: bool = False
    offloaded: bool = False

    @property
    def name(self) -> str:
        """The checkpoint, its precision once loaded, and its weights' hash: what tells two models apart."""
        return " ".join(filter(None, (self.id, self.precision, self.weights_hash)))

    @property
    def callers(self) -> int:
        """How many callers at once keep the slots taken: some make their pages ready while others wait for answers."""
        return self.slots + max(_LEAST_AHEAD, round(self.slots * _AHEAD_SHARE))


@dataclass(frozen=True)
class EngineState:
    """What an engine is doing now, and what it did since its start; `memory_bytes` is None where it has no own.

    `captured`: shapes of steps that are replayed as CUDA graphs; none on a CPU, or where a capture failed.
    """

    slots: int = 0
    busy: int = 0
    waiting: int = 0
    documents: int = 0
    tokens: int = 0
    out_of_memory: int = 0
    captured: int = 0
    capture_failures: int = 0
    memory_bytes: int | None = None


@runtime_checkable
class EngineModel(LoadableModel, Protocol):
    """A model that a thread of this process runs for many callers: one for each process and device, never forked."""

    def facts(self) -> ModelFacts:
        """Return what the model is."""
        ...

    def state(self) -> EngineState:
        """Return what its engine is doing; quick."""
        ...

    def problem(self) -> str | None:
        """Return why the engine does no rounds any more, None while it does; quick."""
        ...

    def on_batch(self, observe: Callable[[int], None]) -> None:
        """Call `observe` with the number of requests in every round of the engine; it must be quick."""
        ...

    def close(self, drain: bool = True) -> None:
        """End the engine; what was asked is answered first, or cancelled."""
        ...


@runtime_checkable
class EngineLane(Protocol):
    """A lane whose model may have an engine."""

    @property
    def engine(self) -> EngineModel | None:
        """The model with an engine, None where the lane's model has none."""
        ...


def engine_of(lane: object) -> EngineModel | None:
    """Return the engine's model behind a lane, None for a lane that has none."""
    return lane.engine if isinstance(lane, EngineLane) else None
