"""Lines of running text: neighbouring segments joined where detection cut one line in two. Knows no field.

Names and addresses are made of text lines; amounts and dates are not, because a table's columns can stand as close.
"""

from __future__ import annotations

from dataclasses import dataclass

from backends.ocr.layout import Box, DocumentLayout

Span = tuple[int, int, int]
"""Index of the segment, start and end in its text."""

_MAX_GAP_HEIGHTS = 1.3


@dataclass(frozen=True)
class TextLine:
    """One line: its number, its segments, their texts joined by blanks, where each begins, and its box and row."""

    number: int
    segments: tuple[int, ...]
    text: str
    offsets: tuple[int, ...]
    box: Box
    row: int
    page: int

    @property
    def height(self) -> float:
        """Return the height in page widths."""
        return self.box[3] - self.box[1]

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Return the spans of segments that make up characters start to end of the text."""
        found = []
        for number, offset in enumerate(self.offsets):
            length = (self.offsets[number + 1] - 1 if number + 1 < len(self.offsets) else len(self.text)) - offset
            left, right = max(0, start - offset), min(length, end - offset)
            if right > left:
                found.append((self.segments[number], left, right))
        return tuple(found)

    def pieces(self) -> tuple[Span, ...]:
        """Return each segment whole."""
        return tuple(s for i, offset in enumerate(self.offsets) for s in self.spans(offset, self._end(i)))

    def _end(self, number: int) -> int:
        return self.offsets[number + 1] - 1 if number + 1 < len(self.offsets) else len(self.text)


def text_lines(layout: DocumentLayout) -> list[TextLine]:
    """Return all text lines in reading order."""
    lines: list[TextLine] = []
    for number, row in enumerate(layout.rows):
        run = [row[0]]
        for index in row[1:]:
            left, right = layout.segments[run[-1]], layout.segments[index]
            close = right.box[0] - left.box[2] < _MAX_GAP_HEIGHTS * min(left.height, right.height)
            if not (close and 0.5 < left.height / max(right.height, 1e-9) < 2.0):
                lines.append(_line(layout, run, number, len(lines)))
                run = []
            run.append(index)
        lines.append(_line(layout, run, number, len(lines)))
    return lines


def _line(layout: DocumentLayout, run: list[int], row: int, number: int) -> TextLine:
    text, offsets = "", []
    for index in run:
        text = f"{text} " if text else ""
        offsets.append(len(text))
        text += layout.segments[index].text
    boxes = [layout.segments[i].box for i in run]
    box = (boxes[0][0], min(b[1] for b in boxes), boxes[-1][2], max(b[3] for b in boxes))
    return TextLine(number, tuple(run), text, tuple(offsets), box, row, layout.segments[run[0]].page)


def line_below(layout: DocumentLayout, lines: list[TextLine], line: TextLine) -> TextLine | None:
    """Return the line that continues this one in its column, if it stands close enough."""
    for other in lines[line.number + 1 :]:
        if other.page != line.page or other.row > line.row + 3:
            return None
        gap = other.box[1] - line.box[3]
        overlap = min(line.box[2], other.box[2]) - max(line.box[0], other.box[0])
        if other.row > line.row and overlap > 0 and -line.height < gap < 1.6 * max(line.height, other.height):
            return other
    return None


def line_above(lines: list[TextLine], line: TextLine) -> TextLine | None:
    """Return the nearest line above in this line's column, within three rows."""
    for other in reversed(lines[: line.number]):
        if other.page != line.page or other.row < line.row - 3:
            return None
        if other.row < line.row and min(line.box[2], other.box[2]) > max(line.box[0], other.box[0]):
            return other
    return None
