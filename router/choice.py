"""Two readings of one field and what may be known about each. Knows readings, pages and weights; decides nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.confidence import FusionWeights, fuse, reading_signals
from router.evaluate import values_equal
from router.grounding import Grounding, ground
from router.schema import FieldSpec
from router.types import Cell, Check, FieldValue, MergeRule, Page, is_silent

_MAX_PAGES_SEARCHED = 20
# a code such as EUR is read from a sign and need not stand on the page
_INFERRED = frozenset({"currency"})


@dataclass(frozen=True)
class Choice:
    """Both readings of a field, the chosen one (perhaps an alternative), whose it is and by which rule."""

    spec: FieldSpec
    fast: FieldValue | None
    deep: FieldValue | None
    chosen: FieldValue
    from_deep: bool
    rule: MergeRule

    def other(self) -> FieldValue | None:
        """Return the other lane's reading, if there is one."""
        return self.fast if self.from_deep else self.deep

    def pick(self, reading: FieldValue, from_deep: bool, rule: MergeRule) -> Choice:
        """Return the same field with another choice."""
        return Choice(self.spec, self.fast, self.deep, reading, from_deep, rule)


@dataclass(frozen=True)
class Judge:
    """What a decision may look at beside the two readings."""

    weights: FusionWeights
    pages: Sequence[Page]
    today: dt.date | None

    def locate(self, reading: FieldValue, spec: FieldSpec) -> tuple[float | None, Grounding | None]:
        """Return (score, place): the score is None where there is nothing to look for or no words to look in."""
        inferred = spec.kind in ("boolean", "enum", "table") or spec.name in _INFERRED
        if inferred or not reading.present or not (reading.raw or reading.value):
            return None, None
        looked_for = reading.provenance.signals.get("grounding") if reading.provenance else None
        if looked_for is not None:
            return looked_for, None
        if reading.polygon is not None:
            return 1.0, None
        asked = [p for p in self.pages if not p.blank and reading.page in (None, p.number)]
        pages = [p for p in asked if p.words][:_MAX_PAGES_SEARCHED]
        if not pages:
            return None, None
        texts = [t for t in (reading.raw, reading.value) if t]
        found = [g for p in pages for t in texts if (g := ground(t, p.words, p.number, spec.kind)) is not None]
        best = max(found, key=lambda g: g.score, default=None)
        if best is None:  # on a page that was not looked at it may stand nevertheless
            return (0.0 if len(pages) == len(asked) else None), None
        return best.score, best

    def probability(
        self, choice: Choice, reading: FieldValue, from_deep: bool, checks: Sequence[Check], score: float | None
    ) -> float:
        """Return the fused probability of one reading before anything is chosen; 0 for an unreadable value."""
        other = choice.fast if from_deep else choice.deep
        agree = other is not None and same_reading(choice.spec, reading, other)
        signals = reading_signals(reading, other, agree, checks, score, required=choice.spec.required)
        return 0.0 if unreadable(reading) else fuse(signals, self.weights)


def unreadable(reading: FieldValue) -> bool:
    """Return whether a reading says nothing: it claims a value but has none of its kind, or the lane did not answer."""
    return is_silent(reading) or (reading.present and reading.value is None and not reading.rows)


def same_reading(spec: FieldSpec, a: FieldValue, b: FieldValue) -> bool:
    """Return whether two readings of a field make the same claim: both absent, or equal values of its kind."""
    if not (a.present and b.present):
        return a.present == b.present
    if spec.kind == "table":
        return _same_rows(spec, a.rows or (), b.rows or ())
    return values_equal(spec.name, spec.kind, a.value, b.value)


def _same_rows(spec: FieldSpec, a: Sequence[Mapping[str, Cell]], b: Sequence[Mapping[str, Cell]]) -> bool:
    def value(row: Mapping[str, Cell], name: str) -> str | None:
        return row[name].value if name in row else None

    return len(a) == len(b) and all(
        values_equal(c.name, c.kind, value(x, c.name), value(y, c.name))
        for x, y in zip(a, b, strict=True)
        for c in spec.columns
    )
