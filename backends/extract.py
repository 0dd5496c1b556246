"""A generating model made into a lane: questions, answers, readings with confidence. Knows no particular model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from backends.base import EngineModel, ExtractionRequest, GenerationRequest, LoadableModel, Model, PagedModel
from backends.dialogues import converse
from backends.field_answers import Part
from backends.page_merge import merge_parts, worst_finish
from backends.prompts import AnswerForm, fields_prompt, prompt_version
from backends.questions import PartReading, Said, captions
from backends.second_reading import SecondReader
from backends.table_reading import unshown
from backends.table_values import table_value
from router.features import text_layer_glyph_px
from router.schema import AUTO, FieldSpec, Schema, builtin, builtin_names
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

        A document of blank pages is answered without asking the model, which would invent. With schema `auto` the model
        is asked for the kind of document first. A field that it gave no readable answer to is unknown.
        """
        started = time.perf_counter()
        readable = [page for page in request.document.pages if not page.blank]
        if not readable:
            schema = request.schema if request.schema.name != AUTO else _default_schema()
            return self._blank(request, schema)
        parts, left_out = self._read(request, readable[: self.max_pages]), readable[self.max_pages :]
        fields = {name: self._value(request, name, parts, left_out) for name in parts[0].wanted}
        schema = parts[0].schema
        if self.second is not None:
            fields = self.second.confirm(fields, schema, request.document.pages, request.pages)
        generations = [generation for part in parts for generation in part.generations]
        prompts = [g.prompt_tokens for g in generations if g.prompt_tokens is not None]
        return Extraction(
            document_id=request.document.id,
            tier=request.tier,
            schema_name=schema.name,
            fields=fields,
            finish_reason=worst_finish([_finish(said) for part in parts for said in part.answers] or ["stop"]),
            prompt_tokens=sum(prompts) if prompts else None,
            completion_tokens=sum(len(g.tokens) for g in generations) or None,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )

    def _read(self, request: ExtractionRequest, shown: Sequence[Page]) -> list[PartReading]:
        """Ask about all pages: in one dialogue, or in several where they do not go into one prompt."""
        parts = self._parts(request, shown)
        if request.schema.name == AUTO:  # the first pages tell what the questions about the others are
            first, *others = parts
            converse(self.model, [first.dialogue()])
            for part in others:
                part.narrow(first.schema)
            parts_left = others
        else:
            parts_left = parts
        if parts_left:
            converse(self.model, [part.dialogue() for part in parts_left])
        return parts

    def _parts(self, request: ExtractionRequest, shown: Sequence[Page]) -> list[PartReading]:
        wanted, count = request.wanted(), len(request.document.pages)
        base = GenerationRequest(
            prompt=fields_prompt(request.schema, wanted, self.form),  # the longest of all: parts are made to hold it
            images=tuple(request.pages.image(page.number) for page in shown),
            max_tokens=1,
            document_id=request.document.id,
            filename=PurePath(request.document.uri).name,
            tier=request.tier,
            glyph_heights_px=tuple(text_layer_glyph_px(page) for page in shown),
            captions=captions(shown, count),
        )
        parts, first = [], 0
        for ask in self.model.split(base) if isinstance(self.model, PagedModel) else (base,):
            pages = tuple(shown[first : first + len(ask.images)])
            first += len(ask.images)
            asked = replace(ask, captions=captions(pages, count))
            parts.append(PartReading(pages, count, asked, request.schema, wanted, self.form))
        return parts

    def _value(
        self, request: ExtractionRequest, name: str, parts: Sequence[PartReading], left_out: Sequence[Page]
    ) -> FieldValue:
        spec, source = parts[0].schema.field(name), self._source(request)
        shown = {"pages_left_out": float(len(left_out))} if left_out else {}
        if spec.kind == "table":
            tables = [table for part in parts for table in part.tables[name]]
            if left_out:
                tables.append(unshown(left_out, self.max_pages))
            return table_value(spec, tables, source, {**parts[0].shown_signals(), **shown})
        return merge_parts([self._read_part(part, spec, source, shown) for part in parts])

    def _read_part(self, part: PartReading, spec: FieldSpec, source: Provenance, shown: dict[str, float]) -> FieldValue:
        said = part.said_of(spec.name)
        generation = replace(said.generation, signals={**said.generation.signals, **shown})
        return Part(part.pages, generation, said.parsed, source).read(spec)

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


def _finish(said: Said) -> str:
    if said.parsed.fields:
        return said.generation.finish_reason
    if said.parsed.refused:
        return "refusal"
    return "error" if said.generation.finish_reason == "stop" else said.generation.finish_reason


def _default_schema() -> Schema:
    return builtin(next(name for name in builtin_names() if name != AUTO))
