"""Places a table's columns and sorts a line's words and numbers into them. Knows edges, not what columns mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backends.ocr.layout import Box
from backends.ocr.table_headers import Header, HeaderCell
from backends.ocr.table_lines import Line, Number, Piece, groups_by_blank, join_spans, numbers_in

_STEPS = 81
_BLANK_INSIDE_A_SEGMENT = (
    0.3  # a cut between words of one segment is worse than between segments, better than through a word
)
_WRONG_SIDE = 0.5
_WIDE = 2.0  # line heights
_MOST = 0.9
_EDGE = 0.01  # page widths by which left or right edges of one column may differ


@dataclass(frozen=True)
class Columns:
    """The columns of a table on one page: headings left to right, the cuts between them, and the table's sides."""

    cells: tuple[HeaderCell, ...]
    cuts: tuple[float, ...]
    left: float
    right: float

    def index(self, x: float) -> int:
        """Return the column at a place."""
        return int(np.searchsorted(self.cuts, x))


def place_columns(header: Header, body: Sequence[Line], open_left: bool = False) -> Columns:
    """Return the columns under a heading.

    Between two headings the cut runs where it crosses the fewest words of the lines below and leaves the fewest
    segments on the side of a heading they are not aligned with (by left edges, centres or right edges); the widest
    such gap wins.
    `open_left`: what stands left of the headings belongs to the table, because the text's own heading was not found.
    """
    cells = tuple(sorted(header.cells, key=lambda c: c.x0))
    lines = [line for line in body if any(n.piece.x1 > cells[0].x1 for n in line.numbers)] or list(body)
    cells = _without_strangers(cells, lines, (-1,) if open_left else (0, -1))
    spans = _Spans(cells, lines)
    cuts: list[float] = []
    for index in range(len(cells) - 1):
        low = max(cells[index].middle, cuts[-1] if cuts else 0.0)
        cuts.append(spans.cut(index, low, max(cells[index + 1].middle, low + 1e-3)))
    left, right = _sides(cells, lines, open_left)
    return Columns(cells, tuple(cuts), left, right)


def _without_strangers(
    cells: tuple[HeaderCell, ...], lines: Sequence[Line], sides: Sequence[int]
) -> tuple[HeaderCell, ...]:
    """Return the headings without unknown outer ones under which lines have nothing: another block's text."""
    for side in sides:
        while len(cells) > 2 and cells[side].column == "?":
            cell = cells[side]
            filled = sum(any(p.x0 < cell.x1 and p.x1 > cell.x0 for p in line.pieces) for line in lines)
            if filled >= _MOST * len(lines):
                break
            cells = cells[1:] if side == 0 else cells[:-1]
    return cells


class _Spans:
    """Words and blanks of all lines as intervals with weights, and each segment's nearest heading."""

    def __init__(self, cells: Sequence[HeaderCell], lines: Sequence[Line]) -> None:
        spans = [(c.x0, c.x1, 2.0 + len(lines)) for c in cells]
        owned: list[tuple[float, float, int]] = []
        for line in lines:
            for piece, after in zip(line.pieces, (*line.pieces[1:], None), strict=True):
                spans.append((piece.x0, piece.x1, 1.0))
                if after is not None and after.segment is piece.segment and after.x0 > piece.x1:
                    spans.append((piece.x1, after.x0, _BLANK_INSIDE_A_SEGMENT))
            owned += [(b[0], b[2], _nearest(cells, b[0], b[2])) for b in _starting(line)]
        self.spans: NDArray[np.float64] = np.array(spans)
        self.owned: NDArray[np.float64] = np.array(owned).reshape(-1, 3)

    def cut(self, index: int, low: float, high: float) -> float:
        x = np.linspace(low, high, _STEPS)
        inside = (self.spans[:, :1] < x - 1e-6) & (self.spans[:, 1:2] > x + 1e-6)
        cost = (inside * self.spans[:, 2:3]).sum(axis=0)
        middles, owner = self.owned[:, :2].mean(axis=1, keepdims=True), self.owned[:, 2:3]
        wrong = ((owner <= index) & (middles > x)) | ((owner > index) & (middles < x))
        cost += _WRONG_SIDE * wrong.sum(axis=0)
        best = cost.min()
        return float(x[_middle_of_longest_run(cost <= best + 1e-9, last=bool(best > 0))])


def _starting(line: Line) -> list[Box]:
    """Return the boxes of segments that hold numbers or stand behind a wide blank: those that may start a column."""
    boxes: list[Box] = []
    numeric = {id(n.piece.segment) for n in line.numbers}
    segments = list({id(p.segment): p.segment for p in line.pieces}.values())
    for before, segment in zip([None, *segments], segments, strict=False):
        wide = before is None or segment.box[0] - before.box[2] > _WIDE * line.height
        if wide or (id(segment) in numeric and not any(c.isalpha() for c in segment.text)):
            boxes.append(segment.box)
    return boxes


def _nearest(cells: Sequence[HeaderCell], x0: float, x1: float) -> int:
    """Return the heading that a segment is aligned with best; overlapping ones come first."""

    def apart(cell: HeaderCell) -> tuple[float, float]:
        gap = max(0.0, cell.x0 - x1, x0 - cell.x1)
        middle = abs(cell.middle - (x0 + x1) / 2)
        return min(abs(cell.x0 - x0), abs(cell.x1 - x1), middle) + gap, middle

    return min(range(len(cells)), key=lambda i: apart(cells[i]))


def _middle_of_longest_run(mask: NDArray[np.bool_], last: bool) -> int:
    """Return the middle of the longest run of True.

    `last`: of nearly equal runs the last one, because the word of a column stands nearer to the column's own heading.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    starts, ends = edges[0::2], edges[1::2]
    lengths = ends - starts
    best = int(np.flatnonzero(lengths >= 0.6 * lengths.max())[-1]) if last else int(np.argmax(lengths))
    return int((starts[best] + ends[best] - 1) // 2)


def _sides(cells: Sequence[HeaderCell], lines: Sequence[Line], open_left: bool) -> tuple[float, float]:
    """Return the table's sides: the outer edges of what stands under the outer headings.

    What lies wholly beside the headings and beyond these edges belongs to another block, unless most lines have it.
    """
    first, last = cells[0], cells[-1]
    boxes = [{id(p.segment): p.segment.box for p in line.pieces}.values() for line in lines]
    needed = max(2.0, _MOST * len(lines))
    left = min((b[0] for row in boxes for b in row if b[0] < first.x1 and b[2] > first.x0), default=first.x0)
    right = max((b[2] for row in boxes for b in row if b[2] > last.x0 and b[0] < last.x1), default=last.x1)
    before = sum(any(b[2] <= first.x0 and b[0] < left - _EDGE for b in row) for row in boxes)
    after = sum(any(b[0] >= last.x1 and b[2] > right + _EDGE for b in row) for row in boxes)
    return (-1.0 if before >= needed or open_left else left, 2.0 if after >= needed else right)


@dataclass(frozen=True)
class Entry:
    """One line of a table: words and numbers by column index."""

    line: Line
    words: dict[int, list[Piece]]
    numbers: dict[int, list[Number]]

    def text(self, column: int) -> str:
        """Return the words in a column."""
        return " ".join(p.text for p in self.words.get(column, ()))

    def inner_text(self) -> str:
        """Return the words of all columns: the line without what stands beside the table."""
        return " ".join(self.text(column) for column in sorted(self.words))


def sort_line(line: Line, columns: Columns, text_column: int | None) -> Entry:
    """Return a line's words and numbers by column.

    Words in another column that are no number but run on from the text column's segment belong to the text.
    """
    words: dict[int, list[Piece]] = {}
    for piece in line.pieces:
        box = piece.segment.box
        if _beside(box[0], box[2], columns):
            continue
        words.setdefault(columns.index(piece.middle), []).append(piece)
    numbers = {i: found for i, pieces in words.items() if i != text_column and (found := _numbers(pieces, line))}
    if text_column is not None:
        _return_number_of_text(words, numbers, text_column)
        _run_on(words, numbers, text_column)
    return Entry(line, words, numbers)


def text_run(entry: Entry, text_column: int) -> list[Piece]:
    """Return a text line's words from the text column on, over other columns too, up to the first wide blank."""
    pieces = list(entry.line.pieces)
    own = entry.words.get(text_column, [])
    if not own or own[0] not in pieces:
        return own
    run = pieces[pieces.index(own[0]) :]
    end = next((i for i, (a, b) in enumerate(pairwise(run), 1) if b.x0 - a.x1 > _WIDE * entry.line.height), len(run))
    return run[:end]


def _beside(x0: float, x1: float, columns: Columns) -> bool:
    first, last = columns.cells[0], columns.cells[-1]
    return (x1 <= first.x0 and x0 < columns.left - _EDGE) or (x0 >= last.x1 and x1 > columns.right + _EDGE)


def _numbers(pieces: Sequence[Piece], line: Line) -> list[Number]:
    """Return the numbers of one column's words: the line's own, unless a blank may group thousands here."""
    found: list[Number] = []
    for span in join_spans(pieces):
        own = [n for n in line.numbers if n.piece.segment is span.segment]
        inside = [n for n in own if n.piece.start >= span.start and n.piece.end <= span.end]
        cut = any(n.piece.start < span.end and n.piece.end > span.start for n in own if n not in inside)
        if cut or groups_by_blank(span.text):
            inside = numbers_in(span.segment, span.start, span.end, True)
        found += inside
    return found


def _return_number_of_text(words: dict[int, list[Piece]], numbers: dict[int, list[Number]], text_column: int) -> None:
    """Forget the only number of a line when it is whole and ends the text's own segment: "Chair 2010"."""
    found = [n for column in numbers.values() for n in column]
    beside = {id(p.segment) for p in words.get(text_column, ())}
    if len(found) == 1 and found[0].decimals == 0 and not found[0].currency and id(found[0].piece.segment) in beside:
        numbers.clear()


def _run_on(words: dict[int, list[Piece]], numbers: dict[int, list[Number]], text_column: int) -> None:
    owners = {id(p.segment) for p in words.get(text_column, ())}
    for index in sorted(words):
        if index <= text_column or index in numbers or not owners:
            continue
        own = [p for p in words[index] if id(p.segment) in owners]
        if not own:
            break
        words[text_column] += own
        words[index] = [p for p in words[index] if p not in own]
