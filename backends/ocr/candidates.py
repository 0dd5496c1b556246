"""Proposes typed candidates: every place of a document that could be a field's value. Knows kinds, but judges nothing.

A candidate is a list of spans (segment, start, end) and the normalised value they spell. Kinds: date, amount,
identifier (one segment each), name and address (lines, possibly several).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from backends.ocr.concepts import concepts_in
from backends.ocr.date_order import settle_order
from backends.ocr.layout import DocumentLayout
from backends.ocr.text_lines import Span, TextLine, line_below, text_lines
from router.amounts import find_amounts
from router.dates import find_dates

CandidateKind = Literal["date", "amount", "identifier", "name", "address"]
MAX_ADDRESS_LINES = 7
MAX_NAME_LINES = 3
_MAX_ADDRESS_STARTS = 60
_MAX_CANDIDATES = 600
_IDENTIFIER = re.compile(r"(?<![\w/.\-])#?([A-Za-z0-9]+(?:[/_\-.][A-Za-z0-9]+)*)(?![\w])")
_GROUPED_DIGITS = re.compile(r"(?<![\w.,/\-])[A-Z]{0,2}\d{2}(?: ?\d{2,4}){2,7}(?![\w.,/\-])")
_LABEL_PREFIX = re.compile(r"^[^:]{2,28}:\s*(?=\S)")
_TAIL_NUMBER = re.compile(r"\s*[(\[][^()\[\]]*\d[^()\[\]]*[)\]]?\s*$")
_CONTACT = re.compile(r"[\s,;.(]*\b(?:tel|phone|fax|h/?p|email|e-mail|www\.|gst|t:)\b.*$", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """One possible value: `text` as printed, `value` normalised, and where it stands."""

    kind: CandidateKind
    text: str
    value: str
    spans: tuple[Span, ...]
    ambiguous: bool = False
    decimals: int = 0
    has_currency: bool = False

    @property
    def first(self) -> Span:
        """Return the first span."""
        return self.spans[0]

    @property
    def last(self) -> Span:
        """Return the last span."""
        return self.spans[-1]


def propose(layout: DocumentLayout, kind: CandidateKind) -> list[Candidate]:
    """Return the candidates of one kind in reading order, at most a few hundred."""
    makers = {"date": _dates, "amount": _amounts, "identifier": _identifiers, "name": _names, "address": _addresses}
    found: list[Candidate] = []
    for candidate in makers[kind](layout):
        found.append(candidate)
        if len(found) >= _MAX_CANDIDATES:
            break
    return found


def _dates(layout: DocumentLayout) -> Iterator[Candidate]:
    found = []
    for index, segment in enumerate(layout.segments):
        for start, end, iso, ambiguous in find_dates(segment.text):
            found.append(Candidate("date", segment.text[start:end], iso, ((index, start, end),), ambiguous))
    for row in layout.rows:
        found += _dates_across(layout, row)
    settled = settle_order([(c.text, c.value, c.ambiguous) for c in found], [s.text for s in layout.segments])
    for candidate, (iso, ambiguous) in zip(found, settled, strict=True):
        yield replace(candidate, value=iso, ambiguous=ambiguous)


def _dates_across(layout: DocumentLayout, row: tuple[int, ...]) -> Iterator[Candidate]:
    """Dates that detection cut in two: found only in a pair of neighbours joined."""
    for left, right in pairwise(row):
        a, b = layout.segments[left].text, layout.segments[right].text
        if not a[-1].isdigit() and a[-1] not in "/-.":
            continue
        for start, end, iso, ambiguous in find_dates(f"{a} {b}"):
            if start < len(a) < end - 1:
                spans = ((left, start, len(a)), (right, 0, end - len(a) - 1))
                yield Candidate("date", f"{a} {b}"[start:end], iso, spans, ambiguous)


def _amounts(layout: DocumentLayout) -> Iterator[Candidate]:
    for index, segment in enumerate(layout.segments):
        dates = [(s, e) for s, e, _, _ in find_dates(segment.text)]
        for start, end, value, currency, decimals in find_amounts(segment.text):
            if any(s < end and start < e for s, e in dates):
                continue
            if decimals == 0 and not currency and not _is_whole_amount(layout, index, segment.text[start:end]):
                continue
            text = segment.text[start:end]
            yield Candidate("amount", text, value, ((index, start, end),), decimals=decimals, has_currency=currency)


def _is_whole_amount(layout: DocumentLayout, index: int, text: str) -> bool:
    """A bare whole number is an amount only in a row that speaks of one."""
    if len(re.sub(r"\D", "", text)) > 7:
        return False
    words = frozenset[str]().union(*(concepts_in(layout.segments[i].text) for i in layout.rows[layout.row_of[index]]))
    if words & {"phone", "iban", "company_number"}:
        return False
    sums = words & {"total", "payable", "subtotal", "cash", "opening", "closing"}
    return bool(sums) or ("tax" in words and "tax_id" not in words)


def _identifiers(layout: DocumentLayout) -> Iterator[Candidate]:
    for index, segment in enumerate(layout.segments):
        spans = {m.span(1) for m in _IDENTIFIER.finditer(segment.text)}
        spans |= {m.span() for m in _GROUPED_DIGITS.finditer(segment.text)}
        for start, end in sorted(spans):
            text = segment.text[start:end]
            if len(text) >= 3 and any(c.isdigit() for c in text):
                yield Candidate("identifier", text, text, ((index, start, end),))


def _names(layout: DocumentLayout) -> Iterator[Candidate]:
    lines = text_lines(layout)
    for line in lines:
        if sum(c.isalpha() for c in line.text) < 2 or len(line.text) > 120:
            continue
        whole = line.spans(0, len(line.text))
        yield _join(layout, "name", whole)
        for start, end in _trims(line.text):
            yield _join(layout, "name", line.spans(start, end))
        for piece in line.pieces() if len(line.segments) > 1 else ():
            yield _join(layout, "name", (piece,))
        for _ in range(MAX_NAME_LINES - 1):
            below = line_below(layout, lines, line)
            if below is None or sum(c.isalpha() for c in below.text) < 2:
                break
            for start, end in ((0, len(below.text)), *_trims(below.text)):
                if start == 0:
                    yield _join(layout, "name", whole + below.spans(0, end))
            line, whole = below, whole + below.spans(0, len(below.text))


def _trims(text: str) -> list[tuple[int, int]]:
    """Sub-spans without a label in front, a number in brackets behind, or contact details behind."""
    start = m.end() if (m := _LABEL_PREFIX.match(text)) else 0
    end = m.start() if (m := _TAIL_NUMBER.search(text)) and m.start() > 3 else len(text)
    contact = m.start() if (m := _CONTACT.search(text)) and m.start() > 3 else len(text)
    spans = {(start, len(text)), (0, end), (start, end), (0, contact), (start, contact)} - {(0, len(text))}
    return sorted(s for s in spans if s[1] - s[0] >= 3)


def _addresses(layout: DocumentLayout) -> Iterator[Candidate]:
    lines = text_lines(layout)
    begun = 0
    for line in lines:
        if begun > _MAX_ADDRESS_STARTS or not _address_like(line.text):
            continue
        begun += 1
        label = m.end() if (m := _LABEL_PREFIX.match(line.text)) else 0
        for start in {0, label}:
            yield from _addresses_from(layout, lines, line, start)


def _addresses_from(layout: DocumentLayout, lines: list[TextLine], line: TextLine, start: int) -> Iterator[Candidate]:
    """Every run of lines that begins at `start` of this line, with and without contact details at its end."""
    spans: tuple[Span, ...] = ()
    for _ in range(MAX_ADDRESS_LINES):
        for left, end in _trims(line.text):
            if left == 0 and end > start + 2:
                yield _join(layout, "address", spans + line.spans(start, end))
        spans += line.spans(start, len(line.text))
        yield _join(layout, "address", spans)
        below = line_below(layout, lines, line)
        if below is None or len(below.text) > 120:
            return
        line, start = below, 0


def _address_like(text: str) -> bool:
    if sum(c.isalnum() for c in text) < 3 or len(text) > 140:
        return False
    return any(c.isdigit() for c in text) or bool(concepts_in(text) & {"street", "place"}) or "," in text


def _join(layout: DocumentLayout, kind: CandidateKind, spans: tuple[Span, ...]) -> Candidate:
    text = " ".join(layout.segments[i].text[start:end].strip() for i, start, end in spans)
    return Candidate(kind, text, text, spans)
