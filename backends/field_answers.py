"""Parsed answers -> readings with their signals. Knows answers, tokens and words; no model and no prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from backends.answers import Answer, ParsedAnswer
from backends.base import Generation
from backends.token_spans import TokenSpans
from router.confidence import token_signals
from router.grounding import Grounding, ground
from router.normalise import normalise
from router.schema import FieldSpec
from router.types import FieldValue, Page, Provenance


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
            return unanswered(spec, self.source, refused | shown)
        signals = self._statistics.of_value(answer)
        if answer.raw is None:
            confidence = probability(signals.get("absence_logprob"))
            return FieldValue(
                name=spec.name, present=False, confidence=confidence, provenance=said_by(self.source, signals | shown)
            )
        place = _place(self.pages, spec, answer.raw)
        if place is not None:
            signals["grounding"] = place.score
        page = place.page if place else self.pages[0].number if len(self.pages) == 1 else None
        normal = normalise(spec.kind, answer.raw, values=spec.values)
        return FieldValue(
            name=spec.name,
            raw=answer.raw,
            value=normal.value,
            ambiguous=normal.ambiguous,
            confidence=probability(signals.get("min_logprob")),
            page=page,
            polygon=place.polygon if place else None,
            provenance=said_by(self.source, signals | shown),
        )

    @cached_property
    def _statistics(self) -> TokenStatistics:
        return TokenStatistics(self.generation)


class TokenStatistics:
    """What the tokens of an answer say about pieces of it."""

    def __init__(self, generation: Generation) -> None:
        self._generation, self._spans = generation, TokenSpans(generation.tokens)

    def of_value(self, answer: Answer) -> dict[str, float]:
        """Return the signals of the value's own tokens and of the one that ends it, with which it could have gone on.

        Keys, and what stands behind a value, are easy and would hide a doubtful one. The claim of absence is always the
        same few words, so its probability is that of all its tokens together: `absence_logprob` is their sum.
        """
        generation, deciding = self._generation, self._spans.deciding(answer.start, answer.end)
        logprobs = _of(generation.token_logprobs, deciding)
        signals = token_signals(
            logprobs, _of(generation.token_entropies, deciding), _of(generation.token_margins, deciding)
        )
        if answer.raw is None and logprobs:
            own = self._spans.saying(answer.start, answer.end)
            signals["absence_logprob"] = sum(_of(generation.token_logprobs, own))
        return {name: min(0.0, value) if name.endswith("logprob") else value for name, value in signals.items()}

    def of_span(self, start: int, end: int) -> float | None:
        """Return the probability of the least probable token that decides text[start:end], None where none is known."""
        logprobs = _of(self._generation.token_logprobs, self._spans.deciding(start, end))
        return math.exp(min(0.0, min(logprobs))) if logprobs else None


def unanswered(spec: FieldSpec, source: Provenance, signals: Mapping[str, float]) -> FieldValue:
    """Return the reading of a field that was asked for and got no readable answer: no claim."""
    return FieldValue(name=spec.name, present=False, provenance=said_by(source, {"unanswered": 1.0, **signals}))


def said_by(source: Provenance, signals: Mapping[str, float]) -> Provenance:
    """Return the source with the signals of one reading."""
    return source.model_copy(update={"signals": dict(signals)})


def probability(logprob: float | None) -> float | None:
    """Return the probability of a log-probability, None for None."""
    return None if logprob is None else math.exp(min(0.0, logprob))


def _of(statistic: Sequence[float], places: range) -> Sequence[float]:
    return statistic[places.start : places.stop]


def _place(pages: Sequence[Page], spec: FieldSpec, raw: str) -> Grounding | None:
    """Find a value among the words of the pages that have a text layer."""
    found = (ground(raw, page.words, page.number, spec.kind) for page in pages if page.words)
    return max((place for place in found if place), key=lambda place: place.score, default=None)
