"""Tables of pipes that no name announced -> candidates: rows of a wanted table, or names beside values."""

from __future__ import annotations

from backends.answers.bodies import is_rule, pipe_cells
from backends.answers.candidates import Found
from backends.answers.keys import Line
from backends.answers.names import EXACT, OTHER, Meaning, Names
from backends.answers.objects import ObjectReader, opens
from backends.answers.rows import Rows, delimited_rows
from backends.answers.values import read_value
from backends.answers.walk import Walker


class PipeReader:
    """Reads blocks of lines with pipes in one text; `truncated` says that the text was cut off at its end."""

    def __init__(self, text: str, names: Names, found: Found, truncated: bool, end: int) -> None:
        self._text, self._names, self._found = text, names, found
        self._truncated, self._end = truncated, end
        self._cut = truncated and not text.endswith("\n")
        self._walker = Walker(text, names, found)

    def read(self, lines: list[Line], number: int) -> int:
        """Read a table that no key announced: rows of a wanted table, or names beside values."""
        last = number
        while last < len(lines) and "|" in self._text[lines[last].start : lines[last].end]:
            last += 1
        block = lines[number:last]
        whole = finished(block, self._cut, self._end)
        shown = [pipe_cells(self._text, line) for line in whole if not is_rule(self._text, line)]
        if shown and not self._row_table(shown, block, len(whole) == len(block)):
            self.names_beside_values(shown)
        return last

    def _row_table(self, cells: list[list[tuple[int, int]]], block: list[Line], finished: bool) -> bool:
        table = self._names.best_table([self._text[s:e] for s, e in cells[0]])
        if table is None:
            return False
        rows = Rows(self._text, table, self._names)
        delimited_rows(rows, cells, positional=False)
        rows.whole &= finished and not (self._truncated and block[-1].end + 1 >= self._end)
        answer = rows.answer(block[0].start, block[-1].end)
        if answer:
            self._found.add(Meaning(table, OTHER), block[0].start, answer)
        return answer is not None

    def names_beside_values(self, cells: list[list[tuple[int, int]]]) -> None:
        """Read rows of cells that are names of fields with their values behind or, of two rows, below them."""
        header = [self._names.field(self._text[s:e], None) for s, e in cells[0]]
        if (
            len(cells) == 2
            and len(cells[0]) == len(cells[1])
            and sum(m is not None for m in header) >= 2
            and all(header[:2])
        ):
            for meaning, (start, end) in zip(header, cells[1], strict=True):
                self._cell(meaning, start, end)
            return
        for row in cells:
            position = 0
            while position + 1 < len(row):
                meaning = self._names.field(self._text[slice(*row[position])], None)
                following = self._names.field(self._text[slice(*row[position + 1])])
                # a row of names alone is a header whose values were cut off
                if meaning and not (following and following.strength == EXACT):
                    self._cell(meaning, *row[position + 1])
                position += 2 if meaning else 1

    def _cell(self, meaning: Meaning | None, start: int, end: int) -> None:
        spec = self._names.spec(meaning.field) if meaning else None
        if meaning is None or spec is None:
            self._found.dropped += meaning is not None
            return
        while start < end and self._text[start].isspace():
            start += 1
        if opens(self._text, start):
            piece, _ = ObjectReader(self._text, end).read(start)
            self._walker.value(meaning, start, piece)
            return
        answer = read_value(self._text, start, end, spec)
        usable = answer if spec.kind != "table" or (answer and answer.raw is None) else None
        self._found.add(meaning, start, usable)


def finished(lines: list[Line], cut: bool, end: int) -> list[Line]:
    """Leave out the line that the text was cut off in."""
    return lines[:-1] if lines and cut and lines[-1].end >= end else lines
