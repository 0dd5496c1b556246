"""Finds the heading of a table: which line it is and which column each heading names. Knows no rows.

A heading's words may be torn over segments or run together with its neighbour's; they are compared word by word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from backends.ocr.table_lines import Line, Piece
from backends.ocr.table_words import close, column_labels, fold_label, other_labels
from router.schema import FieldSpec
from router.types import FieldKind

_MAX_WORDS = 4


@dataclass(frozen=True)
class HeaderCell:
    """One heading: the column it names ("?" for an unknown one, "other:x" for one not asked for), and its edges.

    `alternatives` are further columns that the same words may name.
    """

    column: str
    x0: float
    x1: float
    alternatives: tuple[str, ...] = ()

    @property
    def middle(self) -> float:
        """Return the horizontal centre."""
        return (self.x0 + self.x1) / 2


@dataclass(frozen=True)
class Header:
    """A heading line (index into the page's lines; `last` where a second line belongs to it) and its cells."""

    first: int
    last: int
    cells: tuple[HeaderCell, ...]

    def columns(self) -> set[str]:
        """Return the names of the columns asked for that the heading names."""
        return {c.column for c in self.cells if is_wanted(c.column)}


def is_wanted(column: str) -> bool:
    """Return whether a column is one that was asked for."""
    return not column.startswith(("?", "other:"))


def role_of(column: FieldSpec) -> str:
    """Return the built-in column that a user's own column is by its name or labels, else its own name."""
    names = [fold_label(n) for n in (column.name.replace("_", " "), *column.labels)]
    if column_labels(column.name):
        return column.name
    for role, kind in ROLE_KINDS.items():
        if kind == column.kind and any(fold_label(label) in names for label in column_labels(role)):
            return role
    return column.name


ROLE_KINDS: dict[str, FieldKind] = {
    "description": "text",
    "date": "date",
    "quantity": "amount",
    "unit_price": "amount",
    "total_price": "amount",
    "debit": "amount",
    "credit": "amount",
    "balance": "amount",
}


@dataclass(frozen=True, eq=False)
class Labels:
    """Folded heading -> columns it may name, most likely first. Compared by identity, so look-ups can be remembered."""

    columns: dict[str, tuple[str, ...]]


@lru_cache(maxsize=64)
def labels_of(spec: FieldSpec) -> Labels:
    """Return the headings that a table's columns may have; the columns asked for come before all others."""
    found: dict[str, list[str]] = {}
    roles = {c.name: role_of(c) for c in spec.columns}
    asked = [(c.name, (*c.labels, c.name.replace("_", " "), *column_labels(roles[c.name]))) for c in spec.columns]
    names = {c.name for c in spec.columns}
    others = [(f"other:{n}", labels) for n, labels in other_labels().items() if n not in names]
    for column, labels in (*asked, *others):
        for label in labels:
            columns = found.setdefault(fold_label(label), [])
            if column not in columns:
                columns.append(column)
    found.pop("", None)
    return Labels({label: tuple(columns) for label, columns in found.items()})


def find_headers(lines: Sequence[Line], spec: FieldSpec) -> list[Header]:
    """Return the lines that may head the table on one page, best first."""
    labels = labels_of(spec)
    found = [h for index in range(len(lines)) if (h := _read(lines, index, labels, spec)) is not None]
    return sorted(found, key=lambda h: (-_score(h, spec), h.first))


def _read(lines: Sequence[Line], index: int, labels: Labels, spec: FieldSpec) -> Header | None:
    line = lines[index]
    if len(line.pieces) > 24 or any(n.decimals == 2 for n in line.numbers):
        return None
    cells = match_cells(line.pieces, labels)
    if len({c.column for c in cells if is_wanted(c.column)}) < 1:
        return None
    header = Header(index, index, tuple(resolve(cells)))
    below = lines[index + 1] if index + 1 < len(lines) else None
    if below is not None and below.top - line.bottom < 0.9 * line.height and not below.numbers:
        header = max(header, _with_second_line(header, line, below, labels), key=lambda h: len(h.columns()))
    return header if _plausible(header, line, spec) else None


def _with_second_line(header: Header, line: Line, below: Line, labels: Labels) -> Header:
    """Read headings of two lines ("Unit" above "Price") as one, and headings that stand half a line lower."""
    cells = match_cells(below.pieces, labels)
    known = sum(c.x1 - c.x0 for c in cells if not c.column.startswith("?"))
    if not cells or known < 0.6 * sum(c.x1 - c.x0 for c in cells):
        return header
    alone = [c for c in cells if all(min(c.x1, o.x1) <= max(c.x0, o.x0) for o in header.cells)]
    merged = []
    for cell in header.cells:
        under = [p for p in below.pieces if cell.x0 - 0.01 < p.middle < cell.x1 + 0.01]
        over = [p for p in line.pieces if cell.x0 <= p.middle <= cell.x1]
        both = match_cells((*over, *under), labels, anywhere=True) if under else []
        merged.append(both[0] if len(both) == 1 and not both[0].column.startswith("?") else cell)
    everything = sorted((*merged, *alone), key=lambda c: c.x0)
    return Header(header.first, header.first + 1, tuple(resolve(everything)))


def match_cells(pieces: Sequence[Piece], labels: Labels, anywhere: bool = False) -> list[HeaderCell]:
    """Return the headings in a line's words: the longest known runs, and what is unknown between them.

    Misread headings count only beside one that is read right. `anywhere`: words of one heading may stand apart.
    """
    exact = _match(pieces, labels, anywhere, False)
    return _match(pieces, labels, anywhere, True) if any(c.column != "?" for c in exact) else exact


def _match(pieces: Sequence[Piece], labels: Labels, anywhere: bool, fuzzy: bool) -> list[HeaderCell]:
    cells: list[HeaderCell] = []
    start = 0
    while start < len(pieces):
        run, columns = _longest(pieces, start, labels, anywhere, fuzzy)
        part = pieces[start : start + run]
        x0, x1 = min(p.x0 for p in part), max(p.x1 for p in part)
        if columns:
            cells.append(HeaderCell(columns[0], x0, x1, columns[1:]))
        elif cells and pieces[start].segment is pieces[start - 1].segment and _belongs(cells[-1], part[0].text):
            cells[-1] = replace(cells[-1], x1=x1)
        elif any(c.isalnum() for c in part[0].text):
            cells.append(HeaderCell("?", x0, x1))
        start += run
    return cells


def _belongs(cell: HeaderCell, word: str) -> bool:
    """Return whether an unknown word goes on with the heading before it: a unit in brackets does."""
    return cell.column == "?" or sum(c.isalnum() for c in word) <= 1 or (word.startswith("(") and word.endswith(")"))


def _longest(
    pieces: Sequence[Piece], start: int, labels: Labels, anywhere: bool, fuzzy: bool
) -> tuple[int, tuple[str, ...]]:
    runs = [pieces[start : start + run] for run in range(min(_MAX_WORDS, len(pieces) - start), 0, -1)]
    together = [r for r in runs if anywhere or not any(_apart(a, b) for a, b in pairwise(r))]
    for misread in (False, True) if fuzzy else (False,):
        for run in together:
            columns = _lookup(fold_label(" ".join(p.text for p in run)), labels, misread)
            if columns:
                return len(run), columns
    return 1, ()


def _apart(a: Piece, b: Piece) -> bool:
    return a.segment is not b.segment and b.x0 - a.x1 > 1.2 * a.segment.height


def _lookup(word: str, labels: Labels, fuzzy: bool) -> tuple[str, ...]:
    if word in labels.columns or not fuzzy or len(word) < 5 or any(c.isdigit() for c in word):
        return labels.columns.get(word, ())
    return _misread(word, labels)


@lru_cache(maxsize=16384)
def _misread(word: str, labels: Labels) -> tuple[str, ...]:
    near = (n for n in labels.columns if abs(len(n) - len(word)) <= 2)
    alike = (n for n in near if n[0] == word[0] or (n[-2:] == word[-2:] and len(word) > 6))
    best = next((n for n in alike if close(word, n)), None)
    return labels.columns[best] if best else ()


def resolve(cells: Sequence[HeaderCell]) -> list[HeaderCell]:
    """Give every heading its own column where its words allow another one: of two, the later takes the alternative."""
    settled: list[HeaderCell] = []
    firsts = {c.column for c in cells}
    for cell in cells:
        taken = {c.column for c in settled}
        if cell.column in taken:
            free = [c for c in cell.alternatives if c not in taken and (c not in firsts or not is_wanted(c))]
            if free:
                rest = tuple(c for c in (cell.column, *cell.alternatives) if c != free[0])
                cell = replace(cell, column=free[0], alternatives=rest)
        settled.append(cell)
    return settled


def _plausible(header: Header, line: Line, spec: FieldSpec) -> bool:
    """A heading names two columns asked for, one of them with text or dates, and is mostly made of headings."""
    wanted = header.columns()
    named = [c for c in header.cells if not c.column.startswith("?")]
    width = sum(c.x1 - c.x0 for c in header.cells)
    if len(wanted) < min(2, len(spec.columns)) or sum(c.x1 - c.x0 for c in named) < 0.5 * width:
        return False
    kinds = {c.name: c.kind for c in spec.columns}
    amounts = [c for c in wanted if kinds[c] == "amount"]
    return bool(amounts) or all(kind != "amount" for kind in kinds.values())


def _score(header: Header, spec: FieldSpec) -> float:
    wanted = header.columns()
    text = any(c.name in wanted for c in spec.columns if c.kind in {"text", "date", "identifier"})
    return len(wanted) + 0.5 * text - 0.2 * sum(c.column.startswith("?") for c in header.cells)
