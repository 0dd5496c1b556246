"""Describes runs of lines (names, addresses): what they say and what stands just before and after. Knows no weights."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from backends.ocr.candidates import Candidate
from backends.ocr.concepts import concepts_in
from backends.ocr.layout import DocumentLayout
from backends.ocr.text_lines import line_above, line_below, text_lines

_POSTCODE = re.compile(r"(?<!\d)\d{4,6}(?!\d)|\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b")
_PHONE = re.compile(r"(?:\+?\d[\d \-/().]{7,}\d)")
_OWN = (
    "company", "street", "place", "phone", "fax", "web", "tax_id", "company_number", "invoice_word", "bill_to",
    "ship_to", "from_word", "cashier", "thanks", "date", "total", "iban", "statement", "description", "holder",
    "customer_number",
)  # fmt: skip
_EDGE = ("street", "place", "company", "phone", "tax_id", "company_number", "web", "invoice_word")
LINE_COLUMNS = (
    "lines", "words", "digit_share", "upper_share", "commas", "ends_with_comma", "previous_ends_with_comma",
    "brackets_open", "has_postcode", "last_has_postcode", "postcode_before_last", "has_phone", "row_number",
    "off_centre", "first_height",
    "is_tallest", "lines_with_street_or_place", "share_of_lines_like_address", "has_next", "next_gap", "previous_gap",
    "next_digit_share", "first_has_digit", "ends_with_company", "in_web_address", "column_x", "rows_after_company",
    "is_whole_lines", "aligned", "repeats_before",
    *(f"own:{c}" for c in _OWN),
    *(f"first:{c}" for c in _EDGE),
    *(f"last:{c}" for c in _EDGE),
    *(f"next:{c}" for c in _EDGE),
    *(f"previous:{c}" for c in _EDGE),
)  # fmt: skip


def line_features(layout: DocumentLayout, candidates: Sequence[Candidate]) -> np.ndarray:
    """Return (candidates, LINE_COLUMNS) float32."""
    view = _View(layout)
    return np.array([_describe(view, c) for c in candidates], np.float32)


class _View:
    """The document's text lines and what every candidate is compared with, computed once."""

    def __init__(self, layout: DocumentLayout) -> None:
        self.layout = layout
        self.lines = text_lines(layout)
        self.line_of = {i: line for line in self.lines for i in line.segments}
        self.web = "".join(_letters(s.text) for s in layout.segments if "web" in concepts_in(s.text))
        self.company_rows = [line.row for line in self.lines if "company" in concepts_in(line.text)]
        self.tallest = {p.number: max((s.height for s in p.segments), default=0.0) for p in layout.pages}
        self.places: dict[str, list[int]] = {}
        for i, segment in enumerate(layout.segments):
            self.places.setdefault(segment.text.strip(), []).append(i)
        self.text_height = {p.number: max(p.text_height, 1e-6) for p in layout.pages}

    def texts(self, candidate: Candidate) -> list[str]:
        """Return the candidate's text line by line."""
        lines: dict[int, list[str]] = {}
        for i, start, end in candidate.spans:
            lines.setdefault(self.line_of[i].number, []).append(self.layout.segments[i].text[start:end])
        return [" ".join(parts) for parts in lines.values()]

    def after(self, candidate: Candidate) -> tuple[str, float]:
        """Return the rest of the last line, or the next line of the column, and the gap to it in line heights."""
        index, _, end = candidate.last
        rest = self.layout.segments[index].text[end:].strip()
        line = self.line_of[index]
        if rest or index != line.segments[-1]:
            return rest or self.layout.segments[index + 1].text, 0.0
        below = line_below(self.layout, self.lines, line)
        return (below.text, (below.box[1] - line.box[3]) / max(line.height, 1e-6)) if below else ("", 9.0)

    def before(self, candidate: Candidate) -> tuple[str, float]:
        """Return what stands before on the first line, or the nearest line above in the column, and the gap."""
        index, start, _ = candidate.first
        rest = self.layout.segments[index].text[:start].strip()
        line = self.line_of[index]
        if rest or index != line.segments[0]:
            return rest or self.layout.segments[index - 1].text, 0.0
        above = line_above(self.lines, line)
        return (above.text, (line.box[1] - above.box[3]) / max(line.height, 1e-6)) if above else ("", 9.0)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _describe(view: _View, candidate: Candidate) -> tuple[float, ...]:
    texts, before, after = view.texts(candidate), view.before(candidate), view.after(candidate)
    return (*_numbers(view, candidate, texts, before, after), *_words(texts, before[0], after[0]))


def _numbers(
    view: _View, candidate: Candidate, texts: list[str], around: tuple[str, float], following: tuple[str, float]
) -> tuple[float, ...]:
    layout, text = view.layout, candidate.text
    segment = layout.segments[candidate.first[0]]
    (before, gap_before), (after, gap_after) = around, following
    row = layout.row_of[candidate.first[0]]
    like = [bool(concepts_in(t) & {"street", "place"}) or bool(_POSTCODE.search(t)) for t in texts]
    first_word = _letters((text.split() or [""])[0])
    in_web = len(first_word) > 3 and (first_word in view.web or _letters(text)[:12] in view.web)
    edges = [layout.segments[i].box[0] for i, a, _ in candidate.spans if a == 0 and i == view.line_of[i].segments[0]]
    whole = all(a == 0 and b == len(layout.segments[i].text) for i, a, b in candidate.spans)
    repeats = bisect_left(view.places.get(texts[0].strip(), []), candidate.first[0])
    values = (
        len(texts), len(text.split()), sum(c.isdigit() for c in text) / len(text),
        sum(c.isupper() for c in text) / max(sum(c.isalpha() for c in text), 1), text.count(","),
        text.rstrip()[-1:] in ",-&", bool(before) and before.rstrip()[-1:] in ",-&", text.count("(") - text.count(")"),
        bool(_POSTCODE.search(text)), bool(_POSTCODE.search(texts[-1])),
        len(texts) > 1 and bool(_POSTCODE.search(texts[-2])), bool(_PHONE.search(text)),
        min(row, 60), abs((segment.box[0] + segment.box[2]) / 2 - 0.5), segment.height / view.text_height[segment.page],
        segment.height >= view.tallest[segment.page], sum(like), sum(like) / len(like), bool(after), min(gap_after, 9),
        min(gap_before, 9), sum(c.isdigit() for c in after) / max(len(after), 1), any(c.isdigit() for c in texts[0]),
        "company" in concepts_in(" ".join(text.split()[-3:])), in_web, segment.box[0],
        min((row - r for r in view.company_rows if r <= row), default=30), whole,
        max(edges, default=0.0) - min(edges, default=0.0), min(repeats, 5),
    )  # fmt: skip
    return tuple(map(float, values))


def _words(texts: list[str], before: str, after: str) -> tuple[float, ...]:
    own = frozenset[str]().union(*map(concepts_in, texts))
    edges = [concepts_in(t) for t in (texts[0], texts[-1], after, before)]
    return (*(float(c in own) for c in _OWN), *(float(c in e) for e in edges for c in _EDGE))
