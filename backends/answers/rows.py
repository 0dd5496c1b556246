"""Cells -> the rows of a table, and rows -> the answer for it. Knows columns, not the form that the cells came in.

A row without a readable cell is no row, a row that is the sum of the others is none either, and reading stops at a row
that is left out ("...") or does not fit its header: what is behind it is unknown, and `whole` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from backends.answers.answer import Answer, Row, Span
from backends.answers.names import Names, plain
from backends.answers.other_names import SUM_ROWS
from backends.answers.piece import Piece
from backends.answers.values import read_value, spoken

MAX_ROWS = 10_000
_OMITTED = frozenset({"...", "…", "etc.", "etc", "[...]", "(...)"})
_ROW_KEYS = ("rows", "items", "entries", "list", "data", "values", "value")

Pair = tuple[str, int, int, bool]
"""Column, start and end of the cell's text, whether quotes stood around it."""


@dataclass
class Rows:
    """The rows of one table while it is read; `cut` says that the text was cut off behind what is read."""

    text: str
    table: str
    names: Names
    rows: list[Row] = field(default_factory=list)
    whole: bool = True
    cut: bool = False

    def add(self, pairs: Iterable[Pair], end: int) -> bool:
        """Add a row of these cells; False where reading must stop."""
        told = list(pairs)
        if len(self.rows) >= MAX_ROWS or any(self.text[s:e].strip(" *|") in _OMITTED for _, s, e, _ in told):
            self.whole = False
            return False
        cells: dict[str, str] = {}
        spans: dict[str, Span] = {}
        spec = self.names.spec(self.table)
        kinds = {column.name: column for column in spec.columns} if spec else {}
        for column, start, cell_end, quoted in told:
            answer = read_value(self.text, start, cell_end, kinds[column], quoted, cell=True)
            if answer and answer.raw and column not in cells:
                cells[column], spans[column] = answer.raw, (answer.start, answer.end)
        if cells and not self._is_sum(cells):
            self.rows.append(Row(cells, spans, end))
        return True

    def answer(self, start: int, end: int) -> Answer | None:
        """Return the table's answer from `start` to `end`, None without rows: that is no claim of absence."""
        if not self.rows:
            return None
        raw = self.text[start:end].strip()
        start += len(self.text[start:end]) - len(self.text[start:end].lstrip())
        return Answer(
            raw,
            start,
            start + len(raw),
            tuple(row.cells for row in self.rows),
            tuple(row.spans for row in self.rows),
            self.whole,
            self.rows[-1].end,
        )

    def _is_sum(self, cells: dict[str, str]) -> bool:
        # only an item's quantity tells it from a sum of the same name
        return (
            "description" in cells
            and "quantity" not in cells
            and plain(cells["description"]) in SUM_ROWS
            and (self.table not in ("transactions",))
        )


def piece_rows(rows: Rows, piece: Piece) -> None:
    """Add the rows of a list of objects, of lists under a header, of an object of objects, or of lists by column."""
    inner = _inner(piece)
    if not inner.closed:
        rows.whole = False
    header: list[str | None] = []
    for _, member in inner.members:
        if member.kind == "object" and member.closed:
            if not rows.add(_object_pairs(rows, member), member.end):
                return
        elif member.kind == "list" and member.closed:
            keys = [rows.names.column(rows.text[c.start : c.end], rows.table) for _, c in member.members]
            if not header:
                header = keys if sum(key is not None for key in keys) > 1 else [*rows.names.column_names(rows.table)]
                if keys == header:
                    continue
            if len(header) != len(member.members):
                rows.whole = False
                return
            pairs = [(h, c.start, c.end, c.quoted) for h, (_, c) in zip(header, member.members, strict=True) if h]
            if not rows.add(pairs, member.end):
                return
        else:
            rows.whole = False
            return


def _inner(piece: Piece) -> Piece:
    if piece.kind == "list" or not piece.members:
        return piece
    if (inner := piece.get(*_ROW_KEYS)) and inner.kind == "list":
        return inner
    if all(member.kind == "list" for _, member in piece.members):
        return _by_column(piece)
    if any(member.kind == "text" for _, member in piece.members):
        return Piece("list", piece.start, piece.end, [("", piece)], piece.closed)
    return piece


def _by_column(piece: Piece) -> Piece:
    """Lists by column, read as a list of objects; lists of different length cannot be."""
    lengths = {len(column.members) for _, column in piece.members}
    if len(lengths) != 1 or not piece.closed:
        return Piece("list", piece.start, piece.end, closed=False)
    rows = []
    for index in range(lengths.pop()):
        cells = [(key, column.members[index][1]) for key, column in piece.members]
        rows.append(("", Piece("object", piece.start, piece.end, cells)))
    return Piece("list", piece.start, piece.end, rows)


def _object_pairs(rows: Rows, piece: Piece) -> list[Pair]:
    found = []
    for key, cell in piece.members:
        column = rows.names.column(key, rows.table)
        inner = cell.get("value", "raw", "text") if cell.kind == "object" else cell
        if column and inner and inner.kind == "text" and inner.closed:
            found.append((column, inner.start, inner.end, inner.quoted))
    return found


def keys_of(piece: Piece) -> list[str]:
    """Return the keys of an object, or of the first object in a list."""
    if piece.kind == "list":
        return next((keys_of(member) for _, member in piece.members if member.kind == "object"), [])
    return [key for key, _ in piece.members]


def delimited_rows(rows: Rows, lines: Sequence[list[Span]], positional: bool) -> None:
    """Add rows of cells: the first line is the header, or there is none and each line has every column in order."""
    columns = rows.names.column_names(rows.table)
    header: list[str | None] | None = None
    closed = {len(cells) for cells in lines if _is_closed(rows.text, cells)}
    for told in lines:
        width = len(header or columns)
        cells = told if width in closed else _with_last(rows.text, told, width)
        keys = [rows.names.column(spoken(rows.text[s:e]), rows.table) for s, e in cells]
        if header is None and sum(key is not None for key in keys) >= min(2, len(cells)) and any(keys):
            header = keys
            continue
        if header is None:
            if not positional or len(cells) != len(columns):
                rows.whole = False
                return
            header = [*columns]
        if len(cells) != len(header):
            rows.whole = False
            rows.whole &= not any(rows.text[s:e].strip() for s, e in cells)
            return
        pairs = [(h, s, e, False) for h, (s, e) in zip(header, cells, strict=True) if h]
        if not rows.add(pairs, cells[-1][1]):
            return


def _with_last(text: str, cells: list[Span], width: int) -> list[Span]:
    """Return the cells of a row with its last one, where that is empty and the pipe before it seems to close the line.

    A line that a pipe opens is closed by it; so are all lines of a table where those with every cell are.
    """
    if len(cells) != width - 1 or not _is_closed(text, cells) or text.endswith("|", 0, cells[0][0]):
        return cells
    end = cells[-1][1] + 1
    return [*cells, (end, end)]


def _is_closed(text: str, cells: list[Span]) -> bool:
    return bool(cells) and text.startswith("|", cells[-1][1])
