"""Turns drafts into rows of cells: quantities out of text, debit or credit by the balance, dates without a year."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import permutations

from backends.ocr.table_checks import PRODUCT, Movement, line_holds, settle_movements
from backends.ocr.table_headers import role_of
from backends.ocr.table_lines import Line, Number, Piece, make_cell, piece_of
from backends.ocr.table_patterns import read_leading_quantity, read_product, tidy
from backends.ocr.table_rows import Draft
from router.amounts import format_decimal
from router.arithmetic import decimal_of, equal, product_holds
from router.normalise import find_dates, normalise
from router.schema import FieldSpec
from router.types import Cell

_MAX_DERIVED = 999
_DERIVED = 0.9  # how sure a derived quantity is, as a share of the prices' confidence
_MONTH_FIRST = re.compile(r"^\s*[01]?[0-9]\s?[/-]\s?(?:1[3-9]|2[0-9]|3[01])(?![0-9])")
_THOUSANDS = re.compile(r"(?<![\w.,])([1-9][0-9]{0,2}) $")
_OVERDRAWN = re.compile(r"\s?(?:DR|OD|[DS])\b|\s?[-−]", re.IGNORECASE)
_CREDIT = re.compile(r"\s?(?:CR|H)\b|\s?\+", re.IGNORECASE)


def finish_products(drafts: Sequence[Draft], spec: FieldSpec, headed: bool) -> None:
    """Fill quantity and unit price from the text of rows that have none, and check quantity x unit price = total."""
    names = {role_of(c): c.name for c in spec.columns}
    text, total = names.get("description"), names.get("total_price")
    quantity, unit = names.get("quantity"), names.get("unit_price")
    if text and quantity:
        for draft in drafts:
            if quantity not in draft.numbers:
                _read_text(draft, text, quantity, unit, total)
        if not headed and not any(quantity in d.numbers for d in drafts):
            _read_leading(drafts, text, quantity)
    if quantity and unit and total:
        for draft in drafts:
            _read_pair(draft, quantity, unit, total)
            _regroup(draft, quantity, unit, total)
            values = [draft.numbers[n].value for n in (quantity, unit, total) if n in draft.numbers]
            if len(values) == len(PRODUCT):
                draft.check = line_holds(values[0], values[1], values[2], [n.value for n in draft.extra])


def _read_text(draft: Draft, text: str, quantity: str, unit: str | None, total: str | None) -> None:
    amount = draft.numbers.get(total) if total else None
    found, rest = read_product(draft.words.get(text, []), amount.value if amount else None)
    if not found or (len(found) == 2 and (unit is None or unit in draft.numbers)):
        return
    draft.words[text] = rest
    draft.numbers[quantity] = found[0]
    if len(found) == 2 and unit is not None:
        draft.numbers[unit] = found[1]


def _read_pair(draft: Draft, quantity: str, unit: str, total: str) -> None:
    """Find what is missing of quantity and unit price among the line's numbers, where their product is the total."""
    amount = draft.numbers.get(total)
    known = [draft.numbers.get(quantity), draft.numbers.get(unit)]
    if amount is None or not amount.value or None not in known:
        return
    free = [n for n in draft.anchor.numbers if n.piece.start != amount.piece.start or n.value != amount.value]
    for a, b in permutations(free, 2):
        agrees = all(k is None or k.value == n.value for k, n in zip(known, (a, b), strict=True))
        if agrees and b.decimals >= 2 and product_holds(a.value, b.value, amount.value):
            draft.numbers[quantity], draft.numbers[unit] = a, b
            return


def _regroup(draft: Draft, quantity: str, unit: str, total: str) -> None:
    """Join "1" and "308.00" to one amount where the product says that the blank groups thousands."""
    parts = [draft.numbers.get(n) for n in (quantity, unit, total)]
    if any(p is None for p in parts):
        return
    count, price, amount = (p for p in parts if p is not None)
    before = _THOUSANDS.search(amount.piece.segment.text[: amount.piece.start])
    if before is None or product_holds(count.value, price.value, amount.value) or amount.value >= 1000:
        return
    value = Decimal(before[1]) * 1000 + amount.value
    if product_holds(count.value, price.value, value):
        piece = piece_of(amount.piece.segment, before.start(1), amount.piece.end)
        draft.numbers[total] = replace(amount, piece=piece, value=value)
        for words in draft.words.values():
            words[:] = [p for p in words if p.segment is not piece.segment or p.start < piece.start]


def _read_leading(drafts: Sequence[Draft], text: str, quantity: str) -> None:
    """Take the number that (nearly) every row starts with as its quantity."""
    read = [read_leading_quantity(d.words.get(text, [])) for d in drafts]
    numbers = [n for n, _ in read if n is not None]
    if len(numbers) < 0.8 * len(drafts) or (len(drafts) == 1 and numbers[0].value >= 100):
        return
    for draft, (number, rest) in zip(drafts, read, strict=True):
        if number is not None:
            draft.numbers[quantity] = number
            draft.words[text] = rest


def derive_quantities(rows: Sequence[dict[str, Cell]], spec: FieldSpec) -> None:
    """Add the whole quantity that prices imply to rows that have none under a heading that promises one.

    Detectors overlook a lone digit more often than anything else. Such a cell has no raw text and no place.
    """
    names = {role_of(c): c.name for c in spec.columns}
    if not set(PRODUCT) <= set(names):
        return
    quantity, unit, total = (names[role] for role in PRODUCT)
    for row in rows:
        price, amount = (decimal_of(row[n].value) if n in row else None for n in (unit, total))
        if quantity in row or price is None or amount is None or price <= 0 or amount <= 0:
            continue
        count = (amount / price).quantize(Decimal(1))
        if 1 <= count <= _MAX_DERIVED and equal(count * price, amount):
            sure = min(row[unit].confidence or 0.0, row[total].confidence or 0.0) * _DERIVED
            row[quantity] = Cell(raw="", value=format_decimal(count), confidence=sure, page=row[total].page)


def finish_movements(drafts: Sequence[Draft], spec: FieldSpec, opening: Decimal | None) -> None:
    """Put debit and credit right by sign, by a mark behind the amount and by the running balance."""
    names = {role_of(c): c.name for c in spec.columns}
    if not {"debit", "credit"} <= set(names):
        return
    debit, credit, balance = names["debit"], names["credit"], names.get("balance", "")
    for draft in drafts:
        if balance in draft.numbers:
            draft.numbers[balance] = _signed(draft.numbers[balance])
        _place_signed_amount(draft, debit, credit)
    rows: list[Movement] = []
    for draft in drafts:
        rows.append(
            {r: draft.numbers[names[r]].value for r in ("debit", "credit", "balance") if names.get(r) in draft.numbers}
        )
    settled, checks = settle_movements(rows, opening)
    for draft, before, after, check in zip(drafts, rows, settled, checks, strict=True):
        draft.check = check
        if set(before) != set(after):
            old, new = (debit, credit) if "credit" in after else (credit, debit)
            draft.numbers[new] = draft.numbers.pop(old)
        for name in (debit, credit):
            if name in draft.numbers:
                draft.numbers[name] = replace(draft.numbers[name], value=abs(draft.numbers[name].value))


def _place_signed_amount(draft: Draft, debit: str, credit: str) -> None:
    if debit in draft.numbers and credit in draft.numbers and not draft.numbers[credit].value:
        draft.numbers.pop(credit)
    if debit in draft.numbers and credit in draft.numbers and not draft.numbers[debit].value:
        draft.numbers.pop(debit)
    if debit in draft.numbers or credit in draft.numbers or not draft.extra:
        return
    number = max(draft.extra, key=lambda n: n.decimals)
    after = number.piece.segment.text[number.piece.end :]
    out = number.value < 0 or bool(_OVERDRAWN.match(after))
    draft.numbers[debit if out and not _CREDIT.match(after) else credit] = number


def _signed(number: Number) -> Number:
    after = number.piece.segment.text[number.piece.end :]
    return replace(number, value=-abs(number.value)) if _OVERDRAWN.match(after) else number


def make_rows(drafts: Sequence[Draft], spec: FieldSpec, lines: Sequence[Line]) -> list[dict[str, Cell]]:
    """Return the rows' cells by column name, only cells that hold something; a date printed once counts for the day."""
    dates = _Dates(drafts, spec, lines)
    rows = []
    for draft in drafts:
        row: dict[str, Cell] = {}
        for column in spec.columns:
            cell = _cell(draft, column, dates)
            if cell is not None:
                row[column.name] = cell
        rows.append(row)
    for column in spec.columns:
        if column.kind == "date":
            _inherit(rows, column.name)
    return rows


def _cell(draft: Draft, column: FieldSpec, dates: _Dates) -> Cell | None:
    number = draft.numbers.get(column.name)
    if column.kind == "amount":
        return make_cell([number.piece], "amount", format_decimal(number.value)) if number else None
    words = draft.words.get(column.name, [])
    if column.kind == "date":
        return dates.cell(words)
    if column.kind == "text":
        return make_cell(tidy(_described(draft, words)), "text")
    normal = normalise(column.kind, " ".join(p.text for p in words), values=column.values).value if words else None
    return make_cell(words, column.kind, normal) if normal is not None else None


def _described(draft: Draft, words: list[Piece]) -> list[Piece]:
    """Return a row's text without the codes beside its numbers, where the name stands on a line of its own."""
    if not draft.weak:
        return words
    beside = {id(p.segment) for p in draft.anchor.pieces}
    named = [p for p in words if id(p.segment) not in beside]
    return named if sum(c.isalpha() for p in named for c in p.text) >= 3 else words


def _inherit(rows: Sequence[dict[str, Cell]], name: str) -> None:
    last: Cell | None = None
    for row in rows:
        if name in row:
            last = row[name]
        elif last is not None:
            row[name] = last


class _Dates:
    """Reads a table's dates: month first where one proves it, the year from the document where none is printed."""

    def __init__(self, drafts: Sequence[Draft], spec: FieldSpec, lines: Sequence[Line]) -> None:
        columns = [c.name for c in spec.columns if c.kind == "date"]
        texts = [" ".join(p.text for p in d.words.get(c, [])) for d in drafts for c in columns]
        self.day_first = not any(_MONTH_FIRST.match(t) for t in texts)
        missing = any(t and normalise("date", t, self.day_first).value is None for t in texts)
        found = [iso for line in lines for _, _, iso, _ in find_dates(line.text, self.day_first)] if missing else []
        self.known = sorted(found)
        self.years = [year for year, _ in Counter(iso[:4] for iso in found).most_common(3)]

    def cell(self, words: Sequence[Piece]) -> Cell | None:
        """Return the date in some words, or None."""
        text = " ".join(p.text for p in words)
        if not text:
            return None
        value = normalise("date", text, self.day_first).value
        if value is None:
            joiner = (
                "/" if re.fullmatch(r"[0-9]{1,2}/[0-9]{1,2}", text) else "." if re.fullmatch(r"[0-9. ]+", text) else " "
            )
            joined = (normalise("date", text.rstrip(".") + joiner + year, self.day_first).value for year in self.years)
            options = [d for d in joined if d]
            inside = [d for d in options if self.known[0] <= d <= self.known[-1]]
            value = next(iter(inside or options), None)
        return make_cell(words, "date", value) if value else None
