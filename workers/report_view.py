"""Outcomes as plain rows for the report's template. Knows the core types, no HTML."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from router.score import INTERCEPT
from router.types import Check, FieldValue, MergedField, Polygon, Result, is_silent
from workers.local import Outcome
from workers.pictures import PagePicture

RULES = {
    "only": "one reading",
    "agree": "both agree",
    "validator": "arithmetic or a checksum decides",
    "grounded": "fits the words of the page",
    "calibrated": "more probable",
    "unresolved": "kept, but nothing decides",
}
FEATURES_SHOWN = 8


@dataclass(frozen=True)
class CandidateView:
    """One lane's reading of a field."""

    tier: str
    text: str
    confidence: str
    level: str
    chosen: bool


@dataclass(frozen=True)
class FieldView:
    """One row of the field table."""

    name: str
    label: str
    text: str
    raw: str
    present: bool
    confidence: str
    percent: float
    level: str
    tier: str
    rule: str
    escalated_because: str
    candidates: tuple[CandidateView, ...]
    checks: tuple[Check, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    page: int | None


@dataclass(frozen=True)
class BoxView:
    """A polygon in pixels of the page's picture."""

    field: str
    label: str
    points: str
    level: str


@dataclass(frozen=True)
class PageView:
    """A page's picture with its boxes."""

    number: int
    width_px: int
    height_px: int
    url: str
    boxes: tuple[BoxView, ...]


@dataclass(frozen=True)
class BarView:
    """A feature's signed share of the score; `percent` is its length as a share of the longest."""

    name: str
    share: str
    percent: float
    harder: bool


@dataclass(frozen=True)
class DocumentView:
    """One document's section; for a failed one only file, status and error count."""

    anchor: str
    file: str
    status: str
    error: str = ""
    calibrated: bool = True
    schema: str = ""
    tier: str = ""
    score: str = ""
    threshold: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    seconds: str = ""
    steps: str = ""
    escalated: int = 0
    found: int = 0
    least: str = ""
    least_level: str = "unknown"
    fields: tuple[FieldView, ...] = ()
    bars: tuple[BarView, ...] = ()
    pages: tuple[PageView, ...] = ()
    pages_total: int = 0


def document_view(outcome: Outcome, number: int, pictured: bool = True) -> DocumentView:
    """Return the section of one outcome; `number` makes its anchor."""
    anchor = f"d{number}"
    if outcome.result is None:
        return DocumentView(anchor, outcome.file, "failed", error=outcome.error or "unknown")
    result = outcome.result
    fields = tuple(_field(name, merged, result) for name, merged in result.fields.items())
    known = [
        f.chosen.confidence for f in result.fields.values() if f.chosen.present and f.chosen.confidence is not None
    ]
    return DocumentView(
        anchor=anchor,
        file=outcome.file,
        status=result.status,
        calibrated=result.calibrated,
        schema=result.schema_name,
        tier=result.route.tier,
        score=f"{result.route.score:.2f}",
        threshold=f"{result.route.threshold:.2f}",
        reason=result.route.reason,
        notes=result.notes,
        seconds=f"{outcome.elapsed_s:.1f} s",
        steps=" · ".join(f"{step} {ms:,.0f} ms" for step, ms in result.elapsed_ms.items()),
        escalated=len(result.escalated_fields),
        found=sum(f.present for f in fields),
        least=_number(min(known, default=None)),
        least_level=level(min(known, default=None)),
        fields=fields,
        bars=_bars(result),
        pages=tuple(_page(picture, result) for picture in outcome.pictures) if pictured else (),
        pages_total=outcome.pages,
    )


def level(confidence: float | None) -> str:
    """Return the class of a confidence: high, middle, low or unknown."""
    if confidence is None:
        return "unknown"
    return "high" if confidence >= 0.9 else "middle" if confidence >= 0.6 else "low"


def _field(name: str, merged: MergedField, result: Result) -> FieldView:
    chosen = merged.chosen
    columns = tuple(dict.fromkeys(column for row in chosen.rows or () for column in row))
    return FieldView(
        name=name,
        label=_label(name),
        text="no answer" if is_silent(chosen) else _text(chosen),
        raw=chosen.raw or "",
        present=chosen.present,
        confidence=_number(chosen.confidence),
        percent=100 * (chosen.confidence or 0.0),
        level=level(chosen.confidence),
        tier=_tier(chosen),
        rule=RULES[merged.rule],
        escalated_because=result.escalation_reasons.get(name, "not sure enough")
        if name in result.escalated_fields
        else "",
        candidates=tuple(_candidate(candidate, chosen) for candidate in merged.candidates),
        checks=tuple(check for check in chosen.checks if check.outcome != "not_applicable"),
        columns=tuple(_label(column) for column in columns),
        rows=tuple(tuple(row[c].value if c in row else "" for c in columns) for row in chosen.rows or ()),
        page=chosen.page,
    )


def _candidate(candidate: FieldValue, chosen: FieldValue) -> CandidateView:
    return CandidateView(
        tier=_tier(candidate),
        text="no answer" if is_silent(candidate) else _text(candidate),
        confidence=_number(candidate.confidence),
        level=level(candidate.confidence),
        chosen=_tier(candidate) == _tier(chosen) and _text(candidate) == _text(chosen),
    )


def _tier(value: FieldValue) -> str:
    return value.provenance.tier if value.provenance else ""


def _text(value: FieldValue) -> str:
    if not value.present:
        return "not found"
    if value.rows is not None:
        return f"{len(value.rows)} rows" if len(value.rows) != 1 else "1 row"
    return value.value if value.value is not None else value.raw or ""


def _bars(result: Result) -> tuple[BarView, ...]:
    if result.score is None:
        return ()
    shares = [(name, share) for name, share in result.score.contributions.items() if share and name != INTERCEPT]
    shares = sorted(shares, key=lambda item: -abs(item[1]))[:FEATURES_SHOWN]
    longest = max((abs(share) for _, share in shares), default=1.0) or 1.0
    return tuple(BarView(_label(n), f"{share:+.2f}", 50 * abs(share) / longest, share > 0) for n, share in shares)


def _page(picture: PagePicture, result: Result) -> PageView:
    size = (picture.width_px, picture.height_px)
    boxes = [
        box for n, f in result.fields.items() if f.chosen.present for box in _boxes(n, f.chosen, picture.number, size)
    ]
    url = "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode("ascii")
    return PageView(picture.number, *size, url, tuple(boxes))


def _boxes(name: str, value: FieldValue, page: int, size: tuple[int, int]) -> list[BoxView]:
    """The field's own box first, then its cells' boxes."""
    places = [(value.page, value.polygon, value.confidence)]
    places += [(cell.page, cell.polygon, cell.confidence) for row in value.rows or () for cell in row.values()]
    return [
        BoxView(name, f"{_label(name)}: {_text(value)}", _points(polygon, size), level(confidence))
        for where, polygon, confidence in places
        if where == page and polygon is not None
    ]


def _points(polygon: Polygon, size: tuple[int, int]) -> str:
    pairs = zip(polygon[::2], polygon[1::2], strict=True)
    return " ".join(f"{x * size[0]:.1f},{y * size[1]:.1f}" for x, y in pairs)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _number(confidence: float | None) -> str:
    return "–" if confidence is None else f"{confidence:.2f}"
