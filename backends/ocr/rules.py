"""Fields told by rules over the whole document: currency, document type, whether tax is included, statement period, and
a user's own boolean, period and enum fields. Knows words, no weights. The probabilities are rates measured on synthetic
documents, rounded down.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from backends.ocr.concepts import concepts_in, fold_label
from backends.ocr.fields import labels_of
from backends.ocr.layout import DocumentLayout
from router.amounts import find_currency
from router.dates import find_dates
from router.normalise import normalise
from router.schema import FieldSpec
from router.types import Polygon

_DOLLAR_COUNTRY = (
    ("abn", "AUD"),
    ("acn", "AUD"),
    ("bsb", "AUD"),
    ("gst", "AUD"),
    ("singapore", "SGD"),
    ("canada", "CAD"),
)
_TYPES = (
    ("credit_note", r"credit note|gutschrift|avoir|creditnota|nota de credito|abono|nota di credito"),
    ("quote", r"\bquot(?:e|ation)\b|angebot|devis|offerte|presupuesto|preventivo|sebut harga"),
    ("tax_invoice", r"tax invoice|invois cukai"),
    ("statement", r"statement of account|kontoauszug|releve de compte"),
    ("invoice", r"invoice|facture|rechnung|factuur|factura|fattura|invois"),
    ("receipt", r"receipt|resit|quittung|recu|kassenbon|kassabon|ticket|scontrino|cash sales?"),
)


@dataclass(frozen=True)
class Told:
    """A value told by a rule: how probable, and where it stands (None where it follows from the whole document)."""

    raw: str
    value: str
    confidence: float
    page: int | None = None
    polygon: Polygon | None = None


def tell(layout: DocumentLayout, spec: FieldSpec, schema_name: str) -> Told | None:
    """Return the value of a field that is told by rules; None when the document does not say."""
    rules: dict[str, Callable[[], Told | None]] = {
        "currency": lambda: _currency(layout),
        "document_type": lambda: _document_type(layout, spec, schema_name),
        "is_gst_included": lambda: _tax_included(layout),
        "statement_period": lambda: _period(layout),
    }
    if spec.name in rules:
        return rules[spec.name]()
    if spec.kind == "period":
        return _labelled(layout, spec, 0.8)
    return _labelled(layout, spec, 0.7) if spec.kind == "boolean" else _enum(layout, spec)


def _currency(layout: DocumentLayout) -> Told | None:
    found = [(code, s) for s in layout.segments if (code := find_currency(s.text))]
    if not found:
        return None
    counts = Counter(code for code, _ in found)
    code, times = counts.most_common(1)[0]
    segment = next(s for c, s in found if c == code)
    text = fold_label(" ".join(s.text for s in layout.segments))
    if code == "USD" and "usd" not in text:
        code = next((c for word, c in _DOLLAR_COUNTRY if re.search(rf"\b{word}\b", text)), code)
    share = times / len(found)
    return Told(segment.text, code, 0.6 + 0.35 * share, segment.page, segment.polygon)


def _document_type(layout: DocumentLayout, spec: FieldSpec, schema_name: str) -> Told | None:
    """The first title found from the top; a till receipt that calls itself a tax invoice is still a receipt."""
    order = [name for name, _ in _TYPES if name in spec.values]
    if schema_name == "receipt" and "receipt" in order and layout.segments:
        return Told("receipt", "receipt", 0.9)
    for segment in layout.segments[:60]:
        folded = fold_label(segment.text)
        for name, pattern in _TYPES:
            if name in order and re.search(pattern, folded):
                return Told(segment.text, name, 0.85, segment.page, segment.polygon)
    return None


def _tax_included(layout: DocumentLayout) -> Told | None:
    for segment in layout.segments:
        words = concepts_in(segment.text)
        if words & {"total", "grand_total", "price", "tax"} and "inclusive" in words:
            return Told(segment.text, "true", 0.8, segment.page, segment.polygon)
    for segment in layout.segments:
        words = concepts_in(segment.text)
        if words & {"subtotal", "net"} and words & {"net", "tax"}:
            return Told(segment.text, "false", 0.7, segment.page, segment.polygon)
    return None


def _period(layout: DocumentLayout) -> Told | None:
    best: Told | None = None
    for row in layout.rows[:60]:
        for index in row:
            segment = layout.segments[index]
            dates = find_dates(segment.text)
            if len(dates) != 2 or any(c.isdigit() for c in segment.text[dates[1][1] :]):
                continue
            start, end = dates[0][0], dates[1][1]
            text = segment.text[start:end]
            value = normalise("period", text).value
            if value is None:
                continue
            named = any(
                "statement" in concepts_in(layout.segments[i].text)
                or "delivery_date" in concepts_in(layout.segments[i].text)
                for i in row
            )
            told = Told(text, value, 0.9 if named else 0.7, segment.page, segment.span_polygon(start, end))
            best = told if best is None or told.confidence > best.confidence else best
    return best


def _labelled(layout: DocumentLayout, spec: FieldSpec, probability: float) -> Told | None:
    for raw, page, polygon in _beside_label(layout, spec):
        if value := normalise(spec.kind, raw).value:
            return Told(raw, value, probability, page, polygon)
    return None


def _enum(layout: DocumentLayout, spec: FieldSpec) -> Told | None:
    for raw, page, polygon in _beside_label(layout, spec):
        if value := normalise("enum", raw, values=spec.values).value:
            return Told(raw, value, 0.8, page, polygon)
    for segment in layout.segments:
        if value := normalise("enum", segment.text, values=spec.values).value:
            return Told(segment.text, value, 0.5, segment.page, segment.polygon)
    return None


def _beside_label(layout: DocumentLayout, spec: FieldSpec) -> list[tuple[str, int, Polygon]]:
    """Texts to the right of a field's label: the rest of its segment and the next segment of its row."""
    pattern = labels_of(spec)
    found = []
    for row in layout.rows:
        for position, index in enumerate(row):
            segment = layout.segments[index]
            match = pattern.search(fold_label(segment.text)) if pattern else None
            if match is None:
                continue
            rest = _after(segment.text, match.end()).strip(" :.-")
            if rest:
                found.append((rest, segment.page, segment.polygon))
            for right in row[position + 1 : position + 2]:
                found.append((layout.segments[right].text, segment.page, layout.segments[right].polygon))
    return found


def _after(text: str, folded_end: int) -> str:
    """Return what follows the part of a text that has `folded_end` characters once folded (lengths may differ)."""
    if text.isascii():
        return text[folded_end:]
    return text[next(k for k in range(len(text) + 1) if len(fold_label(text[:k])) >= folded_end) :]
