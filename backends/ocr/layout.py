"""Segments, rows and blocks of a page: what stands beside and above what. Knows no field and no model.

Layout coordinates are upright and straightened, in units of the page's width (x right, y down), so that heights and
distances compare between pages of any size. Polygons stay in page fractions of the page as it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router.types import Polygon, Word

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in layout coordinates."""


@dataclass(frozen=True)
class Segment:
    """A run of text on one line without a wide gap: a detected line box, or words of a text layer set close together.

    `character_confidences` in [0,1] and `character_positions` (centres as fractions of the segment's width) align with
    `text`; so do `runners_up`, the second guess for each character (empty where the text is certain).
    """

    text: str
    box: Box
    polygon: Polygon
    page: int
    character_confidences: tuple[float, ...]
    character_positions: tuple[float, ...]
    runners_up: str = ""
    runner_up_confidences: tuple[float, ...] = ()

    @property
    def height(self) -> float:
        """Return the height in page widths."""
        return self.box[3] - self.box[1]

    def certainties(self, start: int = 0, end: int | None = None) -> list[float]:
        """Return the confidences of a span's letters and digits.

        Blanks and points are told apart far less surely, and matter less.
        """
        pairs = zip(self.text[start:end], self.character_confidences[start:end], strict=True)
        return [p for c, p in pairs if c.isalnum()]

    def confidence(self, start: int = 0, end: int | None = None) -> float:
        """Return the lowest confidence of a span's letters and digits, 0 where it has none."""
        return min(self.certainties(start, end), default=0.0)

    def span_box(self, start: int, end: int) -> Box:
        """Return the layout box of a span of the text."""
        left, right = self._edges(start, end)
        width = self.box[2] - self.box[0]
        return (self.box[0] + left * width, self.box[1], self.box[0] + right * width, self.box[3])

    def span_polygon(self, start: int, end: int) -> Polygon:
        """Return the polygon of a span of the text, cut from the segment's polygon."""
        left, right = self._edges(start, end)
        x1, y1, x2, y2, x3, y3, x4, y4 = self.polygon

        def between(a: float, b: float, share: float) -> float:
            return min(1.0, max(0.0, a + (b - a) * share))

        return (
            between(x1, x2, left), between(y1, y2, left), between(x1, x2, right), between(y1, y2, right),
            between(x4, x3, right), between(y4, y3, right), between(x4, x3, left), between(y4, y3, left),
        )  # fmt: skip

    def _edges(self, start: int, end: int) -> tuple[float, float]:
        centres = self.character_positions
        left = 0.0 if start <= 0 else (centres[start - 1] + centres[start]) / 2
        right = 1.0 if end >= len(centres) else (centres[end - 1] + centres[end]) / 2
        return left, max(left, right)


@dataclass(frozen=True)
class PageLayout:
    """One page's segments in reading order, and the rows they form. `height` is the page's height in page widths."""

    number: int
    height: float
    segments: tuple[Segment, ...]
    rows: tuple[tuple[Segment, ...], ...] = ()
    text_height: float = 0.02
    source: str = "ocr"


def build_layout(number: int, height: float, segments: Sequence[Segment], source: str = "ocr") -> PageLayout:
    """Return the layout of one page: segments sorted into rows, top to bottom and left to right."""
    usable = [s for s in segments if s.text.strip()]
    rows = _rows(usable)
    ordered = tuple(s for row in rows for s in row)
    text_height = float(np.median([s.height for s in ordered])) if ordered else 0.02
    return PageLayout(number, height, ordered, tuple(rows), text_height, source)


def _rows(segments: Sequence[Segment]) -> list[tuple[Segment, ...]]:
    """Group segments whose vertical extents overlap by more than half of the smaller one."""
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.box[1] + s.box[3]) / 2):
        home = next((row for row in reversed(rows[-3:]) if _same_row(row, segment)), None)
        if home is None:
            rows.append([segment])
        else:
            home.append(segment)
    rows.sort(key=lambda row: float(np.mean([(s.box[1] + s.box[3]) / 2 for s in row])))
    return [tuple(sorted(row, key=lambda s: s.box[0])) for row in rows]


def _same_row(row: list[Segment], segment: Segment) -> bool:
    for other in row:
        overlap = min(other.box[3], segment.box[3]) - max(other.box[1], segment.box[1])
        if overlap <= 0.5 * min(other.height, segment.height):
            return False
        sideways = min(other.box[2], segment.box[2]) - max(other.box[0], segment.box[0])
        if sideways > 0.5 * min(other.box[2] - other.box[0], segment.box[2] - segment.box[0]):
            return False  # one above the other, however close
    return True


def segments_from_words(words: Sequence[Word], page: int, page_height: float) -> list[Segment]:
    """Return the segments of a text layer: words on one line joined until a gap wider than 0.7 times their height.

    `page_height` is the page's height in page widths.
    """
    boxes = [_word_box(w, page_height) for w in words]
    order = sorted(range(len(words)), key=lambda i: ((boxes[i][1] + boxes[i][3]) / 2, boxes[i][0]))
    lines: list[list[int]] = []
    for i in order:
        home = next((line for line in reversed(lines[-4:]) if _on_line(boxes[line[0]], boxes[i])), None)
        if home is None:
            lines.append([i])
        else:
            home.append(i)
    segments = []
    for line in lines:
        line.sort(key=lambda i: boxes[i][0])
        run = [line[0]]
        for i in line[1:]:
            height = boxes[run[-1]][3] - boxes[run[-1]][1]
            if boxes[i][0] - boxes[run[-1]][2] > 0.7 * height:
                segments.append(_join(words, boxes, run, page, page_height))
                run = []
            run.append(i)
        segments.append(_join(words, boxes, run, page, page_height))
    return segments


def _word_box(word: Word, page_height: float) -> Box:
    xs, ys = word.polygon[0::2], word.polygon[1::2]
    return (min(xs), min(ys) * page_height, max(xs), max(ys) * page_height)


def _on_line(a: Box, b: Box) -> bool:
    return min(a[3], b[3]) - max(a[1], b[1]) > 0.5 * min(a[3] - a[1], b[3] - b[1])


def _join(words: Sequence[Word], boxes: list[Box], run: list[int], page: int, page_height: float) -> Segment:
    """Join words into one segment; a character's place is its share of its word's box."""
    x0, x1 = boxes[run[0]][0], max(boxes[i][2] for i in run)
    y0, y1 = min(boxes[i][1] for i in run), max(boxes[i][3] for i in run)
    width = max(x1 - x0, 1e-9)
    text, confidences, positions = "", [], []
    for i in run:
        if text:
            text += " "
            confidences.append(1.0)
            positions.append(min(1.0, max(0.0, (boxes[i][0] - x0) / width)))
        word, (left, _, right, _) = words[i], boxes[i]
        for k in range(len(word.text)):
            positions.append((left + (right - left) * (k + 0.5) / len(word.text) - x0) / width)
            confidences.append(1.0 if word.confidence is None else word.confidence)
        text += word.text
    top, bottom = y0 / page_height, y1 / page_height
    polygon = tuple(min(1.0, max(0.0, v)) for v in (x0, top, x1, top, x1, bottom, x0, bottom))
    return Segment(text, (x0, y0, x1, y1), polygon, page, tuple(confidences), tuple(positions))  # type: ignore[arg-type]


@dataclass(frozen=True)
class DocumentLayout:
    """All pages' segments in one list, and the rows as lists of indices into it."""

    pages: tuple[PageLayout, ...]
    segments: tuple[Segment, ...]
    rows: tuple[tuple[int, ...], ...]
    row_of: tuple[int, ...]
    """Row index of each segment."""

    def page(self, number: int) -> PageLayout:
        """Return the layout of page `number`."""
        return next(p for p in self.pages if p.number == number)


def document_layout(pages: Sequence[PageLayout]) -> DocumentLayout:
    """Return the flat view of several pages."""
    segments: list[Segment] = []
    rows: list[tuple[int, ...]] = []
    row_of: list[int] = []
    for page in pages:
        for row in page.rows:
            rows.append(tuple(range(len(segments), len(segments) + len(row))))
            row_of += [len(rows) - 1] * len(row)
            segments += row
    return DocumentLayout(tuple(pages), tuple(segments), tuple(rows), tuple(row_of))
