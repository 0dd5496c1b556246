"""What stands around a candidate: label words to the left, above, before and after. Knows no field and no weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from backends.ocr.candidates import Candidate
from backends.ocr.concepts import concepts_in, fold_label
from backends.ocr.layout import DocumentLayout

_NEAR_CHARACTERS = 40
_HAS_AMOUNT = re.compile(r"\d[.,]\d{2}\b")


@dataclass(frozen=True)
class Context:
    """Texts around a candidate, nearest first where there are several; empty when nothing stands there."""

    left: str
    left_far: str
    above: str
    header: str
    row_before: str
    right: str
    below: str

    def places(self) -> tuple[str, ...]:
        """Return the texts in the order of `PLACES`."""
        return (self.left, self.left_far, self.above, self.header, self.row_before, self.right, self.below)


PLACES = ("left", "left_far", "above", "header", "row_before", "right", "below")


def context_of(layout: DocumentLayout, candidate: Candidate) -> Context:
    """Return the texts around a candidate."""
    index, start, _ = candidate.first
    last, _, end = candidate.last
    segment = layout.segments[index]
    row = layout.rows[layout.row_of[index]]
    neighbours = [layout.segments[i].text for i in row if i < index]
    inside = segment.text[max(0, start - _NEAR_CHARACTERS) : start].strip()
    left = inside if any(c.isalpha() for c in inside) else " ".join([*neighbours[-1:], inside])
    far = neighbours[:-1] if left != inside else neighbours
    after = layout.segments[last].text[end : end + _NEAR_CHARACTERS]
    behind = [layout.segments[i].text for i in layout.rows[layout.row_of[last]] if i > last]
    above, header = _above(layout, candidate)
    return Context(
        left=left.strip(),
        left_far=" ".join(far)[-80:],
        above=above,
        header=header,
        row_before=_row_text(layout, layout.row_of[index] - 1, segment.page),
        right=" ".join([after, *behind[:1]]).strip()[:60],
        below=_row_text(layout, layout.row_of[last] + 1, segment.page),
    )


def _row_text(layout: DocumentLayout, row: int, page: int) -> str:
    if not 0 <= row < len(layout.rows) or layout.segments[layout.rows[row][0]].page != page:
        return ""
    return " ".join(layout.segments[i].text for i in layout.rows[row])[:120]


def _above(layout: DocumentLayout, candidate: Candidate) -> tuple[str, str]:
    """Return the nearest text above in the column, and the nearest one that holds no amount (a table's header)."""
    index, start, end = candidate.first
    segment = layout.segments[index]
    x0, y0, x1, _ = segment.span_box(start, end)
    nearest = ""
    for row in range(layout.row_of[index] - 1, max(-1, layout.row_of[index] - 40), -1):
        for i in layout.rows[row]:
            other = layout.segments[i]
            if other.page != segment.page:
                return nearest, ""
            if min(x1, other.box[2]) - max(x0, other.box[0]) <= 0:
                continue
            if not nearest:
                nearest = other.text if y0 - other.box[3] < 3 * segment.height else "-"
            if not _HAS_AMOUNT.search(other.text) and any(c.isalpha() for c in other.text):
                return nearest.strip("-"), other.text
    return nearest.strip("-"), ""


def place_concepts(context: Context) -> tuple[frozenset[str], ...]:
    """Return the concepts named in each of `PLACES`."""
    return tuple(concepts_in(text) for text in context.places())


def label_matches(context: Context, pattern: re.Pattern[str]) -> tuple[float, ...]:
    """Return for each of `PLACES` how closely a field's own label matches: its share of the text, 0 without one."""
    return tuple(_coverage(text, pattern) for text in context.places())


@lru_cache(maxsize=65536)
def _coverage(text: str, pattern: re.Pattern[str]) -> float:
    folded = fold_label(text)
    letters = sum(c.isalpha() for c in folded) or 1
    return max((len(m[0]) / max(letters, len(m[0])) for m in pattern.finditer(folded)), default=0.0)
