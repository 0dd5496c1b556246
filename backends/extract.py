"""A generating model made into a lane: prompt, answer, parsed fields with confidence. Knows no particular model."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import PurePath

from backends.base import ExtractionRequest, Generation, GenerationRequest, Model
from backends.parse import Answer, ParsedAnswer, parse_answer
from backends.prompts import PROMPT_VERSION, answer_tokens, build_prompt
from router.errors import ExtractionError
from router.grounding import Grounding, ground
from router.normalise import normalise
from router.schema import AUTO, FieldSpec, Schema, builtin, builtin_names
from router.types import Cell, Extraction, FieldValue, Provenance

MAX_IMAGES = 8
BLANK_CONFIDENCE = 0.99


@dataclass(frozen=True)
class ModelLane:
    """A lane over one `Model`; `revision` pins the checkpoint, `relative_cost` compares lanes."""

    model: Model
    name: str
    relative_cost: float = 1.0
    revision: str | None = None

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Return one `FieldValue` for every wanted field; raise `ExtractionError` or `RetryableError`.

        A document of blank pages is answered without asking the model, which would invent. Only the first
        `MAX_IMAGES` pages that are not blank are shown. With schema `auto` the answer's own `document_type` chooses the
        schema.
        """
        started = time.perf_counter()
        wanted = request.wanted()
        images = [p.number for p in request.document.pages if not p.blank][:MAX_IMAGES]
        if not images:
            schema = request.schema if request.schema.name != AUTO else _default_schema()
            return self._blank(request, schema)
        generation = self._generate(request, wanted, images)
        parsed = parse_answer(generation.text, wanted, generation.finish_reason == "length")
        if not parsed.fields and generation.finish_reason != "stop":
            raise ExtractionError(
                f"{self.name} gave no field ({generation.finish_reason}); its answer was cut off or refused"
            )
        schema, wanted = _narrow(request.schema, parsed, wanted)
        fields = {n: self._field(request, schema.field(n), parsed, generation, images) for n in wanted}
        return Extraction(
            document_id=request.document.id,
            tier=request.tier,
            schema_name=schema.name,
            fields=fields,
            finish_reason=generation.finish_reason,
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=len(generation.tokens) or None,
            elapsed_ms=(time.perf_counter() - started) * 1000,
        )

    def _generate(self, request: ExtractionRequest, wanted: tuple[str, ...], images: list[int]) -> Generation:
        ask = GenerationRequest(
            prompt=build_prompt(request.schema, wanted),
            images=tuple(request.pages.image(number) for number in images),
            max_tokens=answer_tokens(request.schema, wanted),
            document_id=request.document.id,
            filename=PurePath(request.document.uri).name,
            tier=request.tier,
        )
        answers = self.model.generate_batch([ask])
        if len(answers) != 1:
            raise ExtractionError(f"{self.model.name} gave {len(answers)} answers to one request")
        return answers[0]

    def _blank(self, request: ExtractionRequest, schema: Schema) -> Extraction:
        wanted = [n for n in schema.names() if n in request.wanted()]
        provenance = self._provenance(request, {"blank": 1.0})
        fields = {
            n: FieldValue(name=n, present=False, confidence=BLANK_CONFIDENCE, provenance=provenance) for n in wanted
        }
        return Extraction(
            document_id=request.document.id, tier=request.tier, schema_name=schema.name, fields=fields, elapsed_ms=0.0
        )

    def _provenance(self, request: ExtractionRequest, signals: dict[str, float]) -> Provenance:
        return Provenance(
            tier=request.tier,
            backend=self.name,
            model=self.model.name,
            revision=self.revision,
            prompt_version=PROMPT_VERSION,
            signals=signals,
        )

    def _field(
        self,
        request: ExtractionRequest,
        spec: FieldSpec,
        parsed: ParsedAnswer,
        generation: Generation,
        images: list[int],
    ) -> FieldValue:
        answer = parsed.fields.get(spec.name)
        if answer is None:  # said nothing: no claim of absence either, so the confidence is unknown
            return FieldValue(name=spec.name, present=False, provenance=self._provenance(request, {"unanswered": 1.0}))
        signals = _token_signals(generation, answer)
        provenance = self._provenance(request, signals)
        confidence = math.exp(signals["min_logprob"]) if signals else None
        if answer.raw is None:
            return FieldValue(name=spec.name, present=False, confidence=confidence, provenance=provenance)
        place = _place(request, spec, answer.raw, images)
        if place is not None:
            provenance = self._provenance(request, signals | {"grounding": place.score})
        page = place.page if place else images[0] if len(images) == 1 else None
        if spec.kind == "table":
            return FieldValue(
                name=spec.name,
                raw=answer.raw,
                confidence=confidence,
                page=page,
                rows=_rows(spec, answer),
                provenance=provenance,
            )
        normal = normalise(spec.kind, answer.raw, values=spec.values)
        return FieldValue(
            name=spec.name,
            raw=answer.raw,
            value=normal.value,
            ambiguous=normal.ambiguous,
            confidence=confidence,
            page=page,
            polygon=place.polygon if place else None,
            provenance=provenance,
        )


def _token_signals(generation: Generation, answer: Answer) -> dict[str, float]:
    """Log-probabilities of the value's own tokens: keys and punctuation are easy and would hide a doubtful value."""
    own, position = [], 0
    for token, logprob in zip(generation.tokens, generation.token_logprobs, strict=False):
        if position < answer.end and position + len(token) > answer.start:
            own.append(min(0.0, logprob))
        position += len(token)
    if not own:
        return {}
    return {"min_logprob": min(own), "mean_logprob": sum(own) / len(own)}


def _place(request: ExtractionRequest, spec: FieldSpec, raw: str, shown: list[int]) -> Grounding | None:
    """Find a value among the words of the pages that have a text layer."""
    pages = [page for page in request.document.pages if page.number in shown and page.words]
    found = (ground(raw, page.words, page.number, spec.kind) for page in pages if spec.kind != "table")
    return max((place for place in found if place), key=lambda place: place.score, default=None)


def _rows(spec: FieldSpec, answer: Answer) -> tuple[dict[str, Cell], ...]:
    kinds = {column.name: column.kind for column in spec.columns}
    rows = ({k: raw for k, raw in row.items() if k in kinds and raw} for row in answer.rows or ())
    return tuple(
        {k: Cell(raw=raw, value=normalise(kinds[k], raw).value or raw) for k, raw in row.items()} for row in rows
    )


def _default_schema() -> Schema:
    return builtin(next(name for name in builtin_names() if name != AUTO))


def _narrow(schema: Schema, parsed: ParsedAnswer, wanted: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
    """Choose the schema that `auto` left open: by the answered document type, else by the most answered fields."""
    if schema.name != AUTO:
        return schema, wanted
    said = parsed.fields.get("document_type")
    name = (said.raw or "").lower().replace(" ", "_") if said else ""
    if name not in builtin_names() or name == AUTO:
        answered = {n for n, a in parsed.fields.items() if a.raw is not None}
        name = max((n for n in builtin_names() if n != AUTO), key=lambda n: len(answered & set(builtin(n).names())))
    chosen = builtin(name)
    return chosen, tuple(n for n in chosen.names() if n in wanted)
