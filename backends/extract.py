"""A generating model made into a lane: prompt, answers, readings with confidence. Knows no particular model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from backends.answers import parse_answer
from backends.base import (
    EngineModel,
    ExtractionRequest,
    Generation,
    GenerationRequest,
    LoadableModel,
    Model,
    PagedModel,
)
from backends.field_answers import Part
from backends.page_merge import merge_parts, worst_finish
from backends.prompts import AnswerForm, answer_tokens, build_prompt, json_schema, prompt_version
from backends.second_reading import SecondReader
from router.errors import ExtractionError
from router.features import text_layer_glyph_px
from router.schema import AUTO, Schema, builtin, builtin_names
from router.types import Extraction, FieldValue, Page, Provenance

MAX_IMAGES = 8
BLANK_CONFIDENCE = 0.99


@dataclass(frozen=True)
class ModelLane:
    """A lane over one `Model`; `revision` pins the checkpoint, `relative_cost` compares lanes.

    Only the first `max_pages` pages that are not blank are shown. `form` is how the model is asked to answer. `second`
    looks for values in the words of pages that carry none.
    """

    model: Model
    name: str
    relative_cost: float = 1.0
    revision: str | None = None
    max_pages: int = MAX_IMAGES
    form: AnswerForm = "lines"
    second: SecondReader | None = None

    def load(self) -> None:
        """Load now what the model would load with the first document; raise `BackendError`."""
        if isinstance(self.model, LoadableModel):
            self.model.load()

    @property
    def engine(self) -> EngineModel | None:
        """The model, if an engine of this process runs it."""
        return self.model if isinstance(self.model, EngineModel) else None

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Return one `FieldValue` for every wanted field; raise `ExtractionError` or `RetryableError`.

        A document of blank pages is answered without asking the model, which would invent. With schema `auto` the
        answer's own `document_type` chooses the schema. A field that the model gave no readable answer to is unknown.
        """
        started = time.perf_counter()
        wanted = request.wanted()
        readable = [page for page in request.document.pages if not page.blank]
        if not readable:
            schema = request.schema if request.schema.name != AUTO else _default_schema()
            return self._blank(request, schema)
        parts = self._ask(request, wanted, readable[: self.max_pages])
        schema, wanted = _narrow(request.schema, parts, wanted)
        fields = {name: merge_parts([part.read(schema.field(name)) for part in parts]) for name in wanted}
        if self.second is not None:
            fields = self.second.confirm(fields, schema, request.document.pages, request.pages)
        generations = [part.generation for part in parts]
        prompts = [g.prompt_tokens for g in generations if g.prompt_tokens is not None]
        return Extraction(
            document_id=request.document.id,
            tier=request.tier,
            schema_name=schema.name,
            fields=fields,
            finish_reason=worst_finish([_finish(part) for part in parts]),
            prompt_tokens=sum(prompts) if prompts else None,
            completion_tokens=sum(len(g.tokens) for g in generations) or None,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )

    def _ask(self, request: ExtractionRequest, wanted: tuple[str, ...], shown: Sequence[Page]) -> list[Part]:
        """Show the pages in one prompt, or in several where the model cannot take them all at once."""
        ask = GenerationRequest(
            prompt=build_prompt(request.schema, wanted, self.form),
            images=tuple(request.pages.image(page.number) for page in shown),
            max_tokens=answer_tokens(request.schema, wanted),
            document_id=request.document.id,
            filename=PurePath(request.document.uri).name,
            tier=request.tier,
            glyph_heights_px=tuple(text_layer_glyph_px(page) for page in shown),
            answer_schema=json_schema(request.schema, wanted) if self.form == "json" else None,
        )
        asks = self.model.split(ask) if isinstance(self.model, PagedModel) else (ask,)
        answers = self.model.generate_batch(asks)
        if len(answers) != len(asks):
            raise ExtractionError(f"{self.model.name} gave {len(answers)} answers to {len(asks)} requests")
        left_out = sum(not page.blank for page in request.document.pages) - len(shown)
        parts, first = [], 0
        for part, answer in zip(asks, answers, strict=True):
            pages = tuple(shown[first : first + len(part.images)])
            first += len(part.images)
            parts.append(self._part(request, wanted, pages, answer, left_out))
        return parts

    def _part(
        self,
        request: ExtractionRequest,
        wanted: tuple[str, ...],
        pages: tuple[Page, ...],
        answer: Generation,
        left_out: int,
    ) -> Part:
        if left_out:
            signals = dict(answer.signals) | {"pages_left_out": float(left_out)}
            answer = _with_signals(answer, signals)
        parsed = parse_answer(answer.text, wanted, answer.finish_reason not in ("stop", "refusal"))
        return Part(pages, answer, parsed, self._source(request))

    def _blank(self, request: ExtractionRequest, schema: Schema) -> Extraction:
        wanted = [n for n in schema.names() if n in request.wanted()]
        source = self._source(request).model_copy(update={"signals": {"blank": 1.0}})
        fields = {n: FieldValue(name=n, present=False, confidence=BLANK_CONFIDENCE, provenance=source) for n in wanted}
        return Extraction(
            document_id=request.document.id, tier=request.tier, schema_name=schema.name, fields=fields, elapsed_ms=0.0
        )

    def _source(self, request: ExtractionRequest) -> Provenance:
        return Provenance(
            tier=request.tier,
            backend=self.name,
            model=self.model.name,
            revision=self.revision,
            prompt_version=prompt_version(self.form),
        )


def _finish(part: Part) -> str:
    if part.parsed.fields:
        return part.generation.finish_reason
    if part.parsed.refused:
        return "refusal"
    return "error" if part.generation.finish_reason == "stop" else part.generation.finish_reason


def _with_signals(answer: Generation, signals: dict[str, float]) -> Generation:
    return Generation(**{**answer.__dict__, "signals": signals})


def _default_schema() -> Schema:
    return builtin(next(name for name in builtin_names() if name != AUTO))


def _narrow(schema: Schema, parts: Sequence[Part], wanted: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
    """Choose the schema that `auto` left open: by the first answered document type, else by the answered fields."""
    if schema.name != AUTO:
        return schema, wanted
    said = (part.parsed.fields.get("document_type") for part in parts)
    named = ((answer.raw or "").lower().replace(" ", "_") for answer in said if answer)
    name = next((name for name in named if name in builtin_names() and name != AUTO), None)
    if name is None:
        answered = {n for part in parts for n, a in part.parsed.fields.items() if a.raw is not None}
        name = max((n for n in builtin_names() if n != AUTO), key=lambda n: len(answered & set(builtin(n).names())))
    chosen = builtin(name)
    return chosen, tuple(n for n in chosen.names() if n in wanted)
