"""Lines of a page as words with places, and the cells made of them. Knows no column and no language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from backends.ocr.layout import PageLayout, Segment
from router.normalise import find_amounts, normalise
from router.types import Cell, FieldKind, Polygon

_WORD = re.compile(r"\S+")
_GROUPING_BLANK = re.compile(r"(?<=[0-9]) (?=[0-9]{3}(?:[ .,]|$))")


@dataclass(frozen=True, slots=True)
class Piece:
    """One word of a segment: its span in the segment's text and its left and right edges in page widths."""

    segment: Segment
    start: int
    end: int
    x0: float
    x1: float

    @property
    def text(self) -> str:
        """Return the word."""
        return self.segment.text[self.start : self.end]

    @property
    def middle(self) -> float:
        """Return the horizontal centre."""
        return (self.x0 + self.x1) / 2


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a line: its piece, its value, its printed decimals, and whether a currency stands beside it."""

    piece: Piece
    value: Decimal
    decimals: int
    currency: bool


@dataclass(frozen=True)
class Line:
    """One row of a page's layout. `top` and `bottom` in page widths."""

    page: int
    top: float
    bottom: float
    pieces: tuple[Piece, ...]
    numbers: tuple[Number, ...]

    @property
    def text(self) -> str:
        """Return the words joined by blanks."""
        return " ".join(p.text for p in self.pieces)

    @property
    def height(self) -> float:
        """Return the height in page widths."""
        return self.bottom - self.top


def read_lines(layout: PageLayout) -> list[Line]:
    """Return the rows of a layout as lines, top to bottom."""
    return [line_of(row) for row in layout.rows if row]


def line_of(row: Sequence[Segment]) -> Line:
    """Return the line of one row of segments."""
    pieces = tuple(p for segment in row for p in split_words(segment))
    numbers = tuple(n for segment in row for n in numbers_in(segment))
    top = sorted(s.box[1] for s in row)[len(row) // 2]
    bottom = sorted(s.box[3] for s in row)[len(row) // 2]
    return Line(row[0].page, top, max(bottom, top), pieces, numbers)


def split_words(segment: Segment) -> list[Piece]:
    """Return the words of a segment."""
    return [piece_of(segment, m.start(), m.end()) for m in _WORD.finditer(segment.text)]


def piece_of(segment: Segment, start: int, end: int) -> Piece:
    """Return a span of a segment as a piece."""
    x0, _, x1, _ = segment.span_box(start, end)
    return Piece(segment, start, end, float(x0), float(x1))


def numbers_in(segment: Segment, start: int = 0, end: int | None = None, one_column: bool = False) -> list[Number]:
    """Return the amounts and quantities in a span of a segment's text; in one column a blank may group thousands."""
    text = segment.text[start:end]
    found = find_amounts(_GROUPING_BLANK.sub("\u202f", text) if one_column else text)
    return [Number(piece_of(segment, start + a, start + b), Decimal(v), d, c) for a, b, v, c, d in found]


def groups_by_blank(text: str) -> bool:
    """Return whether a blank in a text may group thousands ("3 325.40")."""
    return _GROUPING_BLANK.search(text) is not None


def join_spans(pieces: Iterable[Piece]) -> list[Piece]:
    """Return pieces with neighbours of one segment joined into one span."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and last.segment is piece.segment and not last.segment.text[last.end : piece.start].strip():
            joined[-1] = Piece(last.segment, last.start, piece.end, last.x0, piece.x1)
        else:
            joined.append(piece)
    return joined


def make_cell(pieces: Sequence[Piece], kind: FieldKind, value: str | None = None) -> Cell | None:
    """Return the cell of some pieces with `value` or their normal form by kind; None where they have no such value.

    The confidence is the lowest of its characters; the polygon covers the pieces on the first page they stand on.
    """
    spans = join_spans(pieces)
    raw = " ".join(s.text for s in spans)
    normal = value if value is not None else normalise(kind, raw).value
    if not spans or normal is None:
        return None
    page = spans[0].segment.page
    polygons = [s.segment.span_polygon(s.start, s.end) for s in spans if s.segment.page == page]
    confidence = min(s.segment.confidence(s.start, s.end) for s in spans)
    return Cell(raw=raw, value=normal, confidence=min(1.0, max(0.0, confidence)), page=page, polygon=cover(polygons))


def cover(polygons: Sequence[Polygon]) -> Polygon:
    """Return one polygon, or the upright rectangle around several."""
    if len(polygons) == 1:
        return polygons[0]
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return (min(xs), min(ys), max(xs), min(ys), max(xs), max(ys), min(xs), max(ys))
