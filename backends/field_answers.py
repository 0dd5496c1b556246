"""Parsed answers -> readings with their signals. Knows answers, tokens and words; no model and no prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.answers import Answer, ParsedAnswer
from backends.base import Generation
from router.confidence import token_signals
from router.grounding import Grounding, ground
from router.normalise import normalise
from router.schema import FieldSpec
from router.types import Cell, FieldValue, Page, Provenance


@dataclass(frozen=True)
class Part:
    """One answer: to what pages, what was said and what was understood. `source` is who said it."""

    pages: tuple[Page, ...]
    generation: Generation
    parsed: ParsedAnswer
    source: Provenance

    def read(self, spec: FieldSpec) -> FieldValue:
        """Return the reading of one field; where nothing was said there is no claim, not even one of absence."""
        answer = self.parsed.fields.get(spec.name)
        shown = dict(self.generation.signals)
        if self.parsed.dropped:
            shown["keys_dropped"] = float(self.parsed.dropped)
        if answer is None:
            refused = {"refused": 1.0} if self.parsed.refused else {}
            return FieldValue(
                name=spec.name, present=False, provenance=self._source({"unanswered": 1.0} | refused | shown)
            )
        signals = value_signals(self.generation, answer)
        if answer.raw is None:
            return FieldValue(
                name=spec.name,
                present=False,
                confidence=_exp(signals.get("absence_logprob")),
                provenance=self._source(signals | shown),
            )
        place = _place(self.pages, spec, answer.raw)
        if place is not None:
            signals["grounding"] = place.score
        page = place.page if place else self.pages[0].number if len(self.pages) == 1 else None
        return self._present(spec, answer, signals | shown, page, place)

    def _present(
        self, spec: FieldSpec, answer: Answer, signals: dict[str, float], page: int | None, place: Grounding | None
    ) -> FieldValue:
        confidence, source = _exp(signals.get("min_logprob")), self._source(signals)
        if spec.kind == "table":
            rows = _rows(spec, answer, page)
            return FieldValue(
                name=spec.name, raw=answer.raw, confidence=confidence, page=page, rows=rows, provenance=source
            )
        normal = normalise(spec.kind, answer.raw or "", values=spec.values)
        return FieldValue(
            name=spec.name,
            raw=answer.raw,
            value=normal.value,
            ambiguous=normal.ambiguous,
            confidence=confidence,
            page=page,
            polygon=place.polygon if place else None,
            provenance=source,
        )

    def _source(self, signals: Mapping[str, float]) -> Provenance:
        return self.source.model_copy(update={"signals": dict(signals)})


def value_signals(generation: Generation, answer: Answer) -> dict[str, float]:
    """Return the signals of the value's own tokens: keys and punctuation are easy and would hide a doubtful value.

    The claim of absence is always the same few words, so its probability is that of all its tokens together:
    `absence_logprob` is their sum.
    """
    own, position = [], 0
    for index, token in enumerate(generation.tokens):
        if position < answer.end and position + len(token) > answer.start:
            own.append(index)
        position += len(token)
    logprobs = [min(0.0, logprob) for logprob in _of(generation.token_logprobs, own)]
    entropies, margins = _of(generation.token_entropies, own), _of(generation.token_margins, own)
    signals = token_signals(logprobs, entropies, margins)
    if answer.raw is None and logprobs:
        signals["absence_logprob"] = sum(logprobs)
    return signals


def _of(statistic: Sequence[float], indices: Sequence[int]) -> list[float]:
    return [statistic[index] for index in indices if index < len(statistic)]


def _exp(logprob: float | None) -> float | None:
    return None if logprob is None else math.exp(logprob)


def _place(pages: Sequence[Page], spec: FieldSpec, raw: str) -> Grounding | None:
    """Find a value among the words of the pages that have a text layer."""
    if spec.kind == "table":
        return None
    found = (ground(raw, page.words, page.number, spec.kind) for page in pages if page.words)
    return max((place for place in found if place), key=lambda place: place.score, default=None)


def _rows(spec: FieldSpec, answer: Answer, page: int | None) -> tuple[dict[str, Cell], ...]:
    kinds = {column.name: column.kind for column in spec.columns}
    rows = ({k: raw for k, raw in row.items() if k in kinds and raw} for row in answer.rows or ())
    return tuple(
        {k: Cell(raw=raw, value=normalise(kinds[k], raw).value or raw, page=page) for k, raw in row.items()}
        for row in rows
    )
