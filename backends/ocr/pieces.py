"""Parts of text lines that a pattern finds, what is printed before them and what makes of them an answer.

Knows lines and layouts, no field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from backends.ocr.layout import Box, DocumentLayout
from backends.ocr.rules import Told
from backends.ocr.text_lines import Span, TextLine, line_below, text_lines
from router.grounding import union_polygon

_MARKS = " :.-|"


@dataclass(frozen=True)
class Piece:
    """A part of one line, or of one and the next."""

    sheet: Lines
    line: TextLine
    start: int
    text: str
    spans: tuple[Span, ...]

    @property
    def box(self) -> Box:
        """Return the layout box around it."""
        boxes = [self.sheet.layout.segments[i].span_box(start, end) for i, start, end in self.spans]
        return (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))

    def before(self) -> str:
        """Return what stands to the left: in the line, or in the row's line before where that has no letters."""
        inside = self.line.text[: self.start]
        number = self.line.number
        if any(c.isalpha() for c in inside) or number == 0:
            return inside
        left = self.sheet.lines[number - 1]
        return f"{left.text} {inside}" if left.row == self.line.row else inside

    def told(self, value: str, probability: float) -> Told:
        """Return the piece as an answer, as probable as it is when read rightly times the certainty of its letters."""
        segments = self.sheet.layout.segments
        certain = min(segments[i].confidence(start, end) for i, start, end in self.spans)
        polygons = [segments[i].span_polygon(start, end) for i, start, end in self.spans]
        polygon = polygons[0] if len(polygons) == 1 else union_polygon(polygons)
        return Told(self.text, value, probability * certain, self.line.page, polygon)


@dataclass(frozen=True)
class Lines:
    """A document's text lines."""

    layout: DocumentLayout
    lines: tuple[TextLine, ...]

    def find(self, pattern: re.Pattern[str]) -> Iterator[Piece]:
        """Yield what a pattern finds, line by line."""
        for line in self.lines:
            for match in pattern.finditer(line.text):
                if piece := self.piece(line, *match.span()):
                    yield piece

    def piece(self, line: TextLine, start: int, end: int) -> Piece | None:
        """Return characters start to end of a line without blanks around them; None where only blanks are there."""
        text = line.text[start:end]
        start += len(text) - len(text.lstrip())
        end -= len(text) - len(text.rstrip())
        spans = line.spans(start, end) if start < end else ()
        return Piece(self, line, start, line.text[start:end], spans) if spans else None

    def continued(self, piece: Piece, pattern: re.Pattern[str]) -> Piece | None:
        """Return a piece together with how the line below begins, where that matches a pattern."""
        below = line_below(self.layout, list(self.lines), piece.line)
        match = pattern.match(below.text) if below else None
        if below is None or match is None:
            return None
        spans = piece.spans + below.spans(0, match.end())
        return Piece(self, piece.line, piece.start, f"{piece.text} {match[0]}", spans)

    def right_of(self, line: TextLine, start: int) -> Piece | None:
        """Return what follows a place in a line: its rest, or the row's next line where nothing is left of it."""
        rest = line.text[start:].lstrip(_MARKS)
        if rest:
            return self.piece(line, len(line.text) - len(rest), len(line.text))
        right = self.lines[line.number + 1] if line.number + 1 < len(self.lines) else None
        if right is None or right.row != line.row:
            return None
        return self.piece(right, len(right.text) - len(right.text.lstrip(_MARKS)), len(right.text))


def lines_of(layout: DocumentLayout) -> Lines:
    """Return the text lines of a layout."""
    return Lines(layout, tuple(text_lines(layout)))
