"""Cells -> the rows of a table, and rows -> the answer for it. Knows columns, not the form that the cells came in.

A row without a readable cell is no row, a row that is the sum of the others is none either, and reading stops at a row
that is left out ("...") or does not fit its header: what is behind it is unknown, and `whole` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from backends.answers.absence import says_absent
from backends.answers.answer import Answer, Row, Span
from backends.answers.names import Names
from backends.answers.piece import Piece
from backends.answers.sums import is_no_row
from backends.answers.values import read_value, spoken

MAX_ROWS = 10_000
_OMITTED = frozenset({"...", "…", "etc.", "etc", "[...]", "(...)"})
_NUMBER = re.compile(r"#?\d{1,4}[.)]?")
_CENTS = re.compile(r"\d[.,]\d\d$")
_FREE = re.compile(r"\b(?:free|complimentary|no charge|gratis|bonus|included)\b", re.IGNORECASE)
"""What an item without a price says of itself."""
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
    _headings: list[int] = field(default_factory=list)

    def add(self, pairs: Iterable[Pair], end: int, label: str = "", is_object: bool = False) -> bool:
        """Add a row of these cells, which begins with `label`; False where reading must stop. An object heads none."""
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
        label = label or next((self.text[s:e] for _, s, e, _ in told if self.text[s:e].strip(" *_`")), "")
        if cells and not is_no_row(self.table, cells, label) and not self._goes_on(cells, end):
            said = {c for c, s, e, _ in told if self.text[s:e].strip() and not says_absent(self.text[s:e])}
            if said == {"description"} and not is_object and not _FREE.search(cells["description"]):
                self._headings.append(len(self.rows))
            self.rows.append(Row(cells, spans, end))
        return True

    def answer(self, start: int, end: int) -> Answer | None:
        """Return the table's answer from `start` to `end`, None without rows: that is no claim of absence."""
        self._drop_headings()
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

    def _drop_headings(self) -> None:
        """Drop rows of a description alone where other rows have, or may have, numbers: they head or remark."""
        amounts = (
            {c.name for c in spec.columns if c.kind == "amount"} if (spec := self.names.spec(self.table)) else set()
        )
        if not self.whole or any(amounts & set(row.cells) for row in self.rows):
            self.rows = [row for number, row in enumerate(self.rows) if number not in self._headings]
        self._headings = []

    def _goes_on(self, cells: dict[str, str], end: int) -> bool:
        """Join a row of text alone to the one before where that text ran over two lines.

        A movement always has a sum. An item may have none, so there the text must read like the rest of a sentence.
        """
        if set(cells) != {"description"} or not self.rows or "description" not in self.rows[-1].cells:
            return False
        last, text = self.rows[-1], cells["description"]
        before = last.cells["description"]
        if self.table != "transactions" and not (
            text[0].islower() or text[0] == "(" or before.endswith((",", "-", "&"))
        ):
            return False
        self.rows[-1] = Row({**last.cells, "description": f"{before} {text}"}, last.spans, end)
        return True


def piece_rows(rows: Rows, piece: Piece) -> None:
    """Add the rows of a list of objects, of lists under a header, of an object of objects, or of lists by column."""
    inner = _inner(piece)
    if not inner.closed:
        rows.whole = False
    header: list[str | None] = []
    for _, member in inner.members:
        if member.kind == "object" and member.closed:
            if not rows.add(_object_pairs(rows, member), member.end, is_object=True):
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
    keys = ["" if _is_numbered(rows, key, cell) else key for key, cell in piece.members]
    columns = rows.names.columns(keys, rows.table)
    for column, (_, cell) in zip(columns, piece.members, strict=True):
        inner = cell.get("value", "raw", "text") if cell.kind == "object" else cell
        if column and inner and inner.kind == "text" and inner.closed:
            found.append((column, inner.start, inner.end, inner.quoted))
    return found


def _is_numbered(rows: Rows, key: str, cell: Piece) -> bool:
    """Return whether an item's number stands under a name that usually describes it."""
    shown = rows.text[cell.start : cell.end] if cell.kind == "text" else ""
    return _NUMBER.fullmatch(shown) is not None and rows.names.column(key, rows.table) == "description"


def keys_of(piece: Piece) -> list[str]:
    """Return the keys of an object, or of the first object in a list."""
    if piece.kind == "list":
        return next((keys_of(member) for _, member in piece.members if member.kind == "object"), [])
    return [key for key, _ in piece.members]


def delimited_rows(rows: Rows, lines: Sequence[list[Span]], positional: bool) -> None:
    """Add rows of cells: the first line is the header, or there is none and each line has every column in order."""
    columns = rows.names.column_names(rows.table)
    framed = [all(side) for side in zip(*(_pipes_beside(rows.text, cells) for cells in lines), strict=True)]
    closed = {len(cells) for cells in lines if _pipes_beside(rows.text, cells)[1]}
    header: list[str | None] | None = None
    ordered = False
    numbers = _running_numbers(rows.text, lines[1:])
    for cells in lines:
        keys = _columns_in(rows, cells, numbers)
        if header is None and sum(key is not None for key in keys) >= min(2, len(cells)) and any(keys):
            header = keys
            continue
        width = len(header or columns)
        told = _fitted(rows.text, cells, width, framed, width in closed)
        if told is None or (header is None and (not positional or _is_foreign_header(rows, told))):
            rows.whole = False
            return
        if header is None and (_is_other_order(rows, lines, numbers) or _is_price_first(rows, lines)):
            rows.whole = False
            return
        ordered = header is None or ordered
        header = header or [*columns]
        if len(told) > 1 and _columns_in(rows, told, numbers) == header:
            continue  # the header again, at the top of a page
        pairs = [(h, s, e, False) for h, (s, e) in zip(header, told, strict=True) if h]
        label = next((rows.text[s:e] for s, e in told if rows.text[s:e].strip(" *_`")), "")
        before = len(rows.rows)
        if not rows.add(pairs, told[-1][1], label):
            return
        if ordered and len(rows.rows) > before and _is_misplaced(rows, pairs):
            del rows.rows[before:]
            rows.whole = False
            return


def _columns_in(rows: Rows, cells: Sequence[Span], numbers: set[int]) -> list[str | None]:
    """Return what the cells of a header mean; a column of running `numbers` describes nothing, whatever heads it."""
    keys = [spoken(rows.text[s:e]) for s, e in cells]
    told = [rows.names.column(key, rows.table) for key in keys]
    shown = ["" if i in numbers and told[i] == "description" else key for i, key in enumerate(keys)]
    return rows.names.columns(shown, rows.table)


def _running_numbers(text: str, lines: Sequence[Sequence[Span]]) -> set[int]:
    """Return the places of cells that hold a short whole number in every line, sums and the like aside."""
    places = range(max(map(len, lines), default=0))
    shown = {i: [text[slice(*line[i])].strip(" *") for line in lines if i < len(line)] for i in places}
    return {i for i in places if any(shown[i]) and all(_NUMBER.fullmatch(cell) for cell in shown[i] if cell)}


def _is_other_order(rows: Rows, lines: Sequence[list[Span]], numbers: set[int]) -> bool:
    """Return whether rows without a header do not stand in the schema's order: a number where the description is."""
    columns = rows.names.column_names(rows.table)
    place = columns.index("description") if "description" in columns else None
    if place is None or place >= len(lines[0]):
        return False
    first = rows.text[slice(*lines[0][place])].strip(" *")
    return _NUMBER.fullmatch(first) is not None and (place in numbers or len(lines) == 1)


def _is_misplaced(rows: Rows, pairs: Sequence[Pair]) -> bool:
    """Return whether the last row is a text beside numbers that no column could take: its cells are others."""
    beside = [rows.text[s:e] for column, s, e, _ in pairs if column != "description"]
    return set(rows.rows[-1].cells) == {"description"} and any(c.isdigit() for cell in beside for c in cell)


def _is_price_first(rows: Rows, lines: Sequence[list[Span]]) -> bool:
    """Return whether every quantity has cents and no price of a unit has: the two may have changed places."""
    columns = rows.names.column_names(rows.table)
    if not {"quantity", "unit_price"} <= set(columns):
        return False
    counts, prices = (
        [rows.text[slice(*line[place])].strip() for line in lines if place < len(line)]
        for place in (columns.index("quantity"), columns.index("unit_price"))
    )
    told = [(count, price) for count, price in zip(counts, prices, strict=True) if count and price]
    return bool(told) and all(_CENTS.search(count) and price.isdigit() for count, price in told)


def _is_foreign_header(rows: Rows, cells: Sequence[Span]) -> bool:
    """Return whether cells stand for columns in words nobody knows: text where each sum of a row would be."""
    spec = rows.names.spec(rows.table)
    kinds = [column.kind for column in spec.columns] if spec else []
    sums = [rows.text[s:e].strip() for kind, (s, e) in zip(kinds, cells, strict=True) if kind == "amount"]
    return len(sums) > 1 and all(text and not any(c.isdigit() for c in text) and not says_absent(text) for text in sums)


def _fitted(text: str, cells: list[Span], width: int, framed: Sequence[bool], closed: bool) -> list[Span] | None:
    """Return the cells of a row of `width`; a pipe at its end, where not every row has one, is an empty cell there.

    `closed`: whole rows have a pipe behind them, which then is no cell. None where the row has more or fewer cells, or
    it is not plain at which end one is empty.
    """
    if len(cells) == width:
        return cells
    before, behind = _pipes_beside(text, cells)
    first = [(cells[0][0], cells[0][0])] if before else []
    last = [(cells[-1][1], cells[-1][1])] if behind else []
    if len(cells) + len(first) + len(last) == width:
        return None if all(framed) or (behind and closed) else [*first, *cells, *last]
    if before and behind:
        return None
    loose = [
        [*first, *cells] if first and not framed[0] else cells,
        [*cells, *last] if last and not framed[1] else cells,
    ]
    fitting = [told for told in loose if len(told) == width]
    return fitting[0] if len(fitting) == 1 else None


def _pipes_beside(text: str, cells: Sequence[Span]) -> tuple[bool, bool]:
    start, end = cells[0][0], cells[-1][1]
    return text[max(start - 1, 0) : start] == "|", text[end : end + 1] == "|"
