"""Decides for each line under a heading whether it carries a row, text of a row, a sum, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from backends.ocr.table_checks import PRODUCT, line_holds
from backends.ocr.table_columns import Columns, Entry
from backends.ocr.table_headers import role_of
from backends.ocr.table_lines import Number
from backends.ocr.table_patterns import is_price_of
from backends.ocr.table_rows import Draft, Item
from backends.ocr.table_words import LineKind, has_words, line_kind
from router.normalise import find_dates
from router.schema import FieldSpec

MIN_LETTERS = 3
"""Letters that make a description."""
_FAR = 8  # line heights


@dataclass
class Part:
    """What one page gave: rows, amounts of the sums below, a balance before the first row, and the columns used."""

    rows: list[Draft] = field(default_factory=list)
    sums: list[Decimal] = field(default_factory=list)
    opening: Decimal | None = None
    columns: Columns | None = None
    names: dict[int, str] = field(default_factory=dict)
    ended: bool = False
    headed: bool = True


def pick(numbers: Sequence[Number]) -> Number:
    """Return a cell's number: the one beside a currency, else the last with decimals, else the first."""
    return max(enumerate(numbers), key=lambda n: (n[1].currency, n[1].decimals > 0, n[0] if n[1].decimals else -n[0]))[
        1
    ]


class Classifier:
    """Sorts the lines under one heading; `strict` where the page has no heading of its own."""

    def __init__(self, spec: FieldSpec, names: dict[int, str], strict: bool) -> None:
        self.names, self.strict = names, strict
        kinds = {c.name: c.kind for c in spec.columns}
        self.roles = {c.name: role_of(c) for c in spec.columns}
        self.amounts = [i for i, n in names.items() if kinds[n] == "amount"]
        self.dates = [i for i, n in names.items() if kinds[n] == "date"]
        self.texts = [i for i, n in names.items() if kinds[n] == "text"]
        self.movements = any(self.roles[n] == "balance" for n in kinds)
        self.decimal: set[int] = set()
        self.index = {self.roles[n]: i for i, n in names.items()}

    def classify(self, entries: Sequence[Entry], part: Part) -> list[Item]:
        """Return the lines of rows, and note sums, opening balance and the table's end in `part`."""
        items: list[Item] = []
        above: Entry | None = None
        self.decimal = {i for i in self.amounts if _mostly_decimal([e.numbers[i] for e in entries if i in e.numbers])}
        for entry in entries:
            kind = self._kind(entry)
            if above is not None and not has_words(entry.inner_text()) and _heads_sums(above):
                kind = "sum"
            above = entry if entry.words else above
            if self._far_below(entry, items):
                part.ended = True
            if kind == "sum" and not self.movements and entry.line.numbers:
                part.ended = part.ended or any(i.anchor for i in items)
            if kind in ("sum", "payment") and any(i.anchor for i in items):
                part.sums += [n.value for n in entry.line.numbers]
                if self.movements and kind == "sum":
                    break
            if kind != "item":
                self._note_balance(entry, part, items)
                continue
            anchor = self._is_anchor(entry)
            if part.ended and not (anchor and self._product_holds(entry)):
                continue
            if anchor and (self.strict or part.ended) and not self._complete(entry):
                continue
            if anchor and self._only_balance(entry):
                self._note_balance(entry, part, items)
                continue
            items.append(Item(entry, anchor, anchor and self._letters(entry) < MIN_LETTERS, self._starts(entry)))
        return items

    def _far_below(self, entry: Entry, items: Sequence[Item]) -> bool:
        """A table ends where the blank below its last row is both high and much higher than between its rows."""
        tops = [i.entry.line for i in items if i.anchor and i.entry.line.page == entry.line.page]
        if not tops or self.movements:
            return False
        pitch = max((b.top - a.top for a, b in pairwise(tops)), default=0.0)
        return entry.line.top - tops[-1].bottom > max(_FAR * entry.line.height, 2.5 * pitch)

    def _kind(self, entry: Entry) -> LineKind:
        if self.movements and self._starts(entry):
            return "item"
        kind = line_kind(entry.inner_text())
        return "item" if kind != "item" and not self.movements and self._product_holds(entry) else kind

    def _starts(self, entry: Entry) -> bool:
        return any(_has_date(entry.text(i)) for i in self.dates)

    def _letters(self, entry: Entry) -> int:
        return max((sum(c.isalpha() for c in entry.text(i)) for i in self.texts), default=MIN_LETTERS)

    def _is_anchor(self, entry: Entry) -> bool:
        filled = [i for i in self.amounts if i in entry.numbers]
        if filled and all(is_price_of(n) for n in entry.line.numbers if n.decimals):
            return 2 * len(filled) > len(self.amounts) and any(not n.decimals for n in entry.line.numbers)
        if not self.amounts:
            return 2 * sum(bool(entry.words.get(i)) for i in self.names) > len(self.names)
        prices = [i for i in filled if i != self.index.get("quantity") and self._is_price(entry, i)]
        return bool(prices) or (bool(filled) and all(i == self.index.get("quantity") for i in self.amounts))

    def _is_price(self, entry: Entry, column: int) -> bool:
        """A whole number in a column of decimals is a piece of text that reaches into it, unless a currency says no."""
        number = pick(entry.numbers[column])
        return column not in self.decimal or number.decimals > 0 or number.currency or len(entry.numbers) > 1

    def _only_balance(self, entry: Entry) -> bool:
        filled = {i for i in self.amounts if i in entry.numbers}
        moved = any(i in entry.numbers for i in range(99) if i not in self.names)
        return self.movements and filled == {self.index.get("balance")} and not moved

    def _note_balance(self, entry: Entry, part: Part, items: Sequence[Item]) -> None:
        column = self.index.get("balance")
        if self.movements and column in entry.numbers and part.opening is None and not any(i.anchor for i in items):
            part.opening = pick(entry.numbers[column]).value

    def _product_holds(self, entry: Entry) -> bool:
        columns = [self.index.get(role) for role in PRODUCT]
        if not all(c in entry.numbers for c in columns):
            return False
        values = [pick(entry.numbers[c]).value for c in columns if c is not None]
        return bool(values[2]) and line_holds(values[0], values[1], values[2])

    def _complete(self, entry: Entry) -> bool:
        if self.movements:
            return self._starts(entry)
        return all(i in entry.numbers for i in self.amounts) and self._letters(entry) >= MIN_LETTERS


@lru_cache(maxsize=4096)
def _has_date(text: str) -> bool:
    """Return whether a text has a date, the year not needed."""
    return any(c.isdigit() for c in text) and bool(find_dates(text) or find_dates(text + " 2000"))


def _mostly_decimal(cells: Sequence[Sequence[Number]]) -> bool:
    return sum(pick(c).decimals > 0 for c in cells) > 0.6 * len(cells)


def _heads_sums(entry: Entry) -> bool:
    """Return whether a line names sums whose amounts stand on the line below."""
    return not entry.numbers and line_kind(entry.inner_text()) in ("sum", "discount", "payment")
