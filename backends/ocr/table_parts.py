"""Reads the part of a table that stands on one page: under a heading, or by what item lines look like without one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from backends.ocr.table_checks import PRODUCT, assign_product
from backends.ocr.table_classify import MIN_LETTERS, Classifier, Part, pick
from backends.ocr.table_columns import Columns, Entry, place_columns, sort_line, text_run
from backends.ocr.table_headers import Header, is_wanted, role_of
from backends.ocr.table_lines import Line, Number, Piece
from backends.ocr.table_patterns import line_total, text_before
from backends.ocr.table_rows import Draft, Item, group_lines
from backends.ocr.table_words import line_kind
from router.normalise import fold
from router.schema import FieldSpec


def read_headed(lines: Sequence[Line], header: Header | None, before: Part | None, spec: FieldSpec) -> Part:
    """Return the rows under a heading, or of a page that goes on without one in the columns of the page before."""
    body = lines[header.last + 1 :] if header else lines
    if header is not None:
        text_kinds = {c.name for c in spec.columns if c.kind == "text"}
        columns = place_columns(header, _until_sum(body), not text_kinds & header.columns())
    elif before is not None and before.columns is not None:
        columns = before.columns
    else:
        return Part()
    text = _text_column(columns, spec)
    entries = [sort_line(line, columns, text) for line in body]
    names = _name_columns(entries, columns, text, spec) if header or before is None else before.names
    part = Part(columns=columns, names=names, headed=header is not None)
    items = Classifier(spec, names, strict=header is None).classify(entries, part)
    for anchor, own in group_lines(items, below_header=header is not None):
        part.rows.append(_draft(anchor, own, names, spec))
    return part


def _until_sum(body: Sequence[Line]) -> list[Line]:
    """Return the lines that show where columns are: up to the first sum below numbers, without counts and the like."""
    taken: list[Line] = []
    for line in body:
        kind = line_kind(line.text)
        if kind == "sum" and line.numbers and any(t.numbers for t in taken):
            break
        if kind == "item" or len(line.numbers) > 1:
            taken.append(line)
    return taken


def _text_column(columns: Columns, spec: FieldSpec) -> int | None:
    """Return the column of the free text: the one named so, else the first unknown one."""
    text = {c.name for c in spec.columns if c.kind == "text"}
    described = [i for i, c in enumerate(columns.cells) if c.column in text]
    if described:
        roles = {c.name: role_of(c) for c in spec.columns}
        return next((i for i in described if roles[columns.cells[i].column] == "description"), described[0])
    unknown = [i for i, c in enumerate(columns.cells) if c.column.startswith(("?", "other:code", "other:number"))]
    return unknown[0] if text and unknown else None


def _name_columns(entries: Sequence[Entry], columns: Columns, text: int | None, spec: FieldSpec) -> dict[int, str]:
    """Return column index -> name asked for, put right by arithmetic where the heading misleads."""
    roles = {c.name: role_of(c) for c in spec.columns}
    kinds = {c.name: c.kind for c in spec.columns}
    named: dict[int, str] = {}
    for index, cell in enumerate(columns.cells):
        if is_wanted(cell.column) and cell.column not in named.values():
            named[index] = cell.column
    if text is not None and text not in named:
        free = [c.name for c in spec.columns if c.kind == "text" and c.name not in named.values()]
        named |= {text: free[0]} if free else {}
    by_role = {roles[n]: n for n in roles if roles[n] in PRODUCT and kinds[n] == "amount"}
    if len(by_role) == len(PRODUCT):
        headed = {
            role: [i for i, c in enumerate(columns.cells) if name in (c.column, *c.alternatives)]
            for role, name in by_role.items()
        }
        exact = {role: [i for i in found if named.get(i) == by_role[role]] for role, found in headed.items()}
        order = {role: exact[role] + [i for i in headed[role] if i not in exact[role]] for role in headed}
        named = {i: n for i, n in named.items() if n not in by_role.values()} | _product(entries, order, exact, by_role)
    return named


def _product(
    entries: Sequence[Entry], headed: dict[str, list[int]], exact: dict[str, list[int]], by_role: dict[str, str]
) -> dict[int, str]:
    lines = [
        {i: pick(found).value for i, found in e.numbers.items()} for e in entries if line_kind(e.line.text) == "item"
    ]
    given = {role: found if exact[role] else [] for role, found in headed.items()}
    return {index: by_role[role] for role, index in assign_product(lines, given).items()}


def _draft(anchor: Item, own: Sequence[Item], names: dict[int, str], spec: FieldSpec) -> Draft:
    kinds = {c.name: c.kind for c in spec.columns}
    draft = Draft(anchor.entry.line, lines=[i.entry.line for i in own], weak=anchor.weak)
    for index, numbers in anchor.entry.numbers.items():
        if kinds.get(names.get(index, "")) == "amount":
            draft.numbers[names[index]] = pick(numbers)
        elif index not in names:
            draft.extra.append(pick(numbers))
    for item in own:
        for index, name in names.items():
            words = item.entry.words.get(index, []) if item.anchor else text_run(item.entry, index)
            if kinds[name] == "text" or (kinds[name] != "amount" and not draft.words.get(name)):
                draft.words.setdefault(name, []).extend(words)
    return draft


def read_unheaded(lines: Sequence[Line], spec: FieldSpec) -> Part:
    """Return rows told by an amount at the line's end, down to the first sum; only for tables of priced items."""
    roles = {role_of(c): c.name for c in spec.columns}
    if not {"description", "total_price"} <= set(roles):
        return Part()
    left, right = _extent(lines)
    items: list[Item] = []
    totals: dict[int, Number] = {}
    part = Part(headed=False)
    for line in lines:
        kind, total = line_kind(line.text), line_total(line)
        if total is not None and total.piece.x1 < left + 0.55 * (right - left):
            total = None
        if kind in ("sum", "payment") and any(i.anchor for i in items):
            part.ended = part.ended or bool(line.numbers)
            part.sums += [n.value for n in line.numbers]
        if part.ended or kind != "item" or _is_rule(line):
            continue
        words = text_before(line, total) if total else list(line.pieces)
        weak = total is not None and _letters(words) < MIN_LETTERS
        if total is not None:
            totals[id(line)] = total
        items.append(Item(Entry(line, {0: words}, {}), total is not None, weak))
    for anchor, own in group_lines(items, below_header=False):
        words = [p for item in own for p in item.entry.words[0]]
        numbers = {roles["total_price"]: totals[id(anchor.entry.line)]}
        part.rows.append(
            Draft(anchor.entry.line, {roles["description"]: words}, numbers, [i.entry.line for i in own], anchor.weak)
        )
    return part


def _letters(words: Sequence[Piece]) -> int:
    """Return the letters of words that have three or more: codes, units and times signs describe nothing."""
    text = [fold(p.text) for p in words]
    return sum(len(t) for t in text if sum(c.isalpha() for c in t) >= MIN_LETTERS and sum(c.isdigit() for c in t) < 3)


def _is_rule(line: Line) -> bool:
    return not any(c.isalnum() for c in line.text)


def _extent(lines: Sequence[Line]) -> tuple[float, float]:
    edges = [(p.x0, p.x1) for line in lines for p in line.pieces]
    return min((e[0] for e in edges), default=0.0), max((e[1] for e in edges), default=1.0)


def without_carries(rows: Sequence[Draft], total: str) -> list[Draft]:
    """Return rows without sums carried over a page: an only amount that equals the sum of the rows before it."""
    kept: list[Draft] = []
    running = Decimal(0)
    for row in rows:
        amount = row.numbers.get(total)
        carried = amount is not None and len(row.numbers) == 1 and len(kept) > 1 and amount.value == running
        if carried and kept[-1].anchor.page != rows[-1].anchor.page:
            continue
        kept.append(row)
        running += amount.value if amount is not None else Decimal(0)
    return kept
