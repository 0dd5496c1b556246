"""From ranked candidates to field values: one a field, with place, confidence and alternatives. Knows no picture."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from backends.ocr.bank_details import tell_bank_detail
from backends.ocr.candidates import Candidate, CandidateKind
from backends.ocr.consensus import consensus_layout
from backends.ocr.contacts import tell_contact
from backends.ocr.decision import Rated, Value
from backends.ocr.fields import CONTACTS, Party, candidate_kind, is_invoice_bank_detail, labels_of
from backends.ocr.layout import DocumentLayout
from backends.ocr.pool import Described, Pool, describe_pool, pool_candidates
from backends.ocr.rules import Told, tell
from backends.ocr.scorer import FieldModel, Scored, Scorer, decide
from backends.ocr.tables import read_table
from router.confidence import sigmoid
from router.grounding import union_polygon
from router.normalise import clean
from router.schema import FieldSpec, Schema
from router.types import FieldValue, Polygon, Provenance, Tier

_ALTERNATIVES = 3
_THRESHOLD, _REQUIRED_THRESHOLD = 0.3, 0.05
_LEAST_NAMES = {("receipt", "payer_name"): 0.7}
"""A receipt's payer that is less sure is mostly a line of the supplier's, and must not take its contacts."""
_NOT_SHOWN, _NOT_TOLD = 0.9, 0.8
"""How probable it is that a contact or bank detail which no rule finds is not there, and any other told field."""


class FieldReader:
    """Answers fields of one document; candidates of a kind are proposed and described once."""

    def __init__(
        self, readings: Sequence[DocumentLayout], schema: Schema, scorer: Scorer, provenance: Provenance
    ) -> None:
        self._readings = with_consensus(readings, scorer.vocabulary)
        self._tier: Tier = "deep" if len(self._readings) > 1 else "fast"
        self._schema = schema
        self._scorer = scorer
        self._provenance = provenance
        self._described: dict[CandidateKind, list[Described]] = {}
        self._decided: dict[str, Scored | None] = {}

    def read(self, spec: FieldSpec) -> FieldValue:
        """Return the answer for one field."""
        if spec.kind == "table":
            return self._table(spec)
        kind = candidate_kind(spec, self._schema.name)
        if kind is None:
            return self._told(spec)
        scored = self._decide(spec, kind)
        threshold = _REQUIRED_THRESHOLD if spec.required else _THRESHOLD
        # a value that was misread, or read in several ways, is there all the same: its place counts, not its letters
        there = max(scored.confidence, sigmoid(scored.ranked[0].score)) if scored else 0.05
        if scored is None or there < threshold:
            return self._absent(spec, 1.0 - there)
        return self._present(spec, scored)

    def _decide(self, spec: FieldSpec, kind: CandidateKind) -> Scored | None:
        if spec.name not in self._decided:
            model = self._scorer.model(spec, kind)
            rated = [_rate(model, described, spec) for described in self._describe(kind)]
            self._decided[spec.name] = decide(model, rated, self._tier)
        return self._decided[spec.name]

    def _describe(self, kind: CandidateKind) -> list[Described]:
        if kind not in self._described:
            pools = (pool_candidates(reading, kind, self._scorer.vocabulary) for reading in self._readings)
            self._described[kind] = [describe_pool(pool) for pool in pools]
        return self._described[kind]

    def _absent(self, spec: FieldSpec, confidence: float) -> FieldValue:
        return FieldValue(name=spec.name, present=False, confidence=confidence, provenance=self._provenance)

    def _told(self, spec: FieldSpec) -> FieldValue:
        told = self._tell(spec)
        if told is None:
            by_form = spec.name in CONTACTS or is_invoice_bank_detail(spec, self._schema.name)
            return self._absent(spec, _NOT_SHOWN if by_form else _NOT_TOLD)
        return FieldValue(
            name=spec.name, raw=told.raw, value=told.value, confidence=told.confidence, page=told.page,
            polygon=told.polygon, provenance=self._provenance,
        )  # fmt: skip

    def _tell(self, spec: FieldSpec) -> Told | None:
        layout = self._readings[0]
        if spec.name in CONTACTS:
            parties: dict[Party, str] = {
                "business": self._printed("supplier_name"),
                "payer": self._printed("payer_name"),
            }
            return tell_contact(layout, spec.name, parties)
        if is_invoice_bank_detail(spec, self._schema.name):
            return tell_bank_detail(layout, spec.name)
        return tell(layout, spec, self._schema.name)

    def _printed(self, name: str) -> str:
        """Return a name as it is printed, empty where the schema does not ask for it or the document shows none."""
        if name not in self._schema.names():
            return ""
        spec = self._schema.field(name)
        kind = candidate_kind(spec, self._schema.name)
        scored = self._decide(spec, kind) if kind else None
        sure = scored is not None and scored.confidence >= _LEAST_NAMES.get((self._schema.name, name), _THRESHOLD)
        return scored.ranked[0].entry.candidate.text if scored and sure else ""

    def _table(self, spec: FieldSpec) -> FieldValue:
        found = [t for reading in self._readings if (t := read_table(reading.pages, spec)) is not None]
        if not found:
            return self._absent(spec, 0.7)
        table = max(found, key=lambda t: t.confidence)
        return FieldValue(
            name=spec.name, raw=f"{len(table.rows)} rows", rows=table.rows, confidence=table.confidence,
            page=table.page, polygon=table.polygon, provenance=self._provenance,
        )  # fmt: skip

    def _present(self, spec: FieldSpec, scored: Scored) -> FieldValue:
        best, others = scored.ranked[0], scored.ranked[1 : 1 + _ALTERNATIVES]
        shares = _shares([v.score for v in others], 1.0 - scored.confidence)
        alternatives = tuple(_value(spec, v, share) for v, share in zip(others, shares, strict=True))
        signals = {name: round(float(v), 4) for name, v in scored.signals.items()}
        provenance = self._provenance.model_copy(update={"signals": signals})
        value = _value(spec, best, scored.confidence)
        return value.model_copy(update={"alternatives": alternatives, "provenance": provenance})


def with_consensus(readings: Sequence[DocumentLayout], vocabulary: frozenset[str]) -> tuple[DocumentLayout, ...]:
    """Return the readings behind their consensus; one alone where all are the same, as on a text layer."""
    if all(reading.segments == readings[0].segments for reading in readings[1:]):
        return (readings[0],)
    return (consensus_layout(readings, vocabulary), *readings)


def _rate(model: FieldModel, described: Described, spec: FieldSpec) -> Rated:
    """Return the log-odds of a field's candidates, of those that match its pattern where it has one."""
    matrix = described.for_labels(labels_of(spec))
    pool = described.pool
    if spec.pattern is not None:
        pattern = re.compile(spec.pattern)
        texts = [(e.candidate.value, e.candidate.text) for e in pool.entries]
        kept = [i for i, pair in enumerate(texts) if any(pattern.fullmatch(t) for t in pair)]
        pool, matrix = Pool(pool.kind, pool.layout, tuple(pool.entries[i] for i in kept)), matrix[kept]
    return model.rate(pool, matrix)


def _value(spec: FieldSpec, value: Value, confidence: float) -> FieldValue:
    candidate = value.entry.candidate
    page, polygon = place_of(candidate, value.pool.layout)
    return FieldValue(
        name=spec.name, raw=candidate.text, value=clean(candidate.value), confidence=min(max(confidence, 0.0), 1.0),
        page=page, polygon=polygon, ambiguous=candidate.ambiguous,
    )  # fmt: skip


def _shares(logits: Sequence[float], rest: float) -> list[float]:
    """Divide the probability that the best value is wrong among the next ones, by their log-odds."""
    if not logits:
        return []
    weights = np.exp(np.array(logits) - max(logits))
    return [float(rest * w / (weights.sum() + 0.5)) for w in weights]


def place_of(candidate: Candidate, layout: DocumentLayout) -> tuple[int, Polygon]:
    """Return the page of a candidate's first span and the polygon around its spans on that page."""
    page = layout.segments[candidate.first[0]].page
    polygons = [
        layout.segments[i].span_polygon(start, end)
        for i, start, end in candidate.spans
        if layout.segments[i].page == page
    ]
    return page, polygons[0] if len(polygons) == 1 else union_polygon(polygons)
