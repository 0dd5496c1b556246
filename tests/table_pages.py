"""Pages of a table built by hand from cells, and what was read from them as plain values."""

from __future__ import annotations

from collections.abc import Sequence

from backends.ocr.layout import PageLayout, build_layout, segments_from_words
from backends.ocr.tables import TableReading
from router.schema import builtin
from router.types import Word

ITEMS = builtin("invoice").field("line_items")
TRANSACTIONS = builtin("bank_statement").field("transactions")
HEIGHT = 1.4
LETTER = 0.011
LINE = 0.016

Cells = dict[float, str]
"""Left edge of a text -> text; a negative edge is the right edge of right-aligned text."""


def page(rows: Sequence[Cells | None], number: int = 1, pitch: float = 0.03, confidence: float = 0.9) -> PageLayout:
    """Return a layout of rows of text; None leaves a line blank."""
    words = [
        word
        for index, row in enumerate(rows)
        for x, text in (row or {}).items()
        for word in words_at(x, 0.1 + index * pitch, text, confidence)
    ]
    return build_layout(number, HEIGHT, segments_from_words(words, number, HEIGHT))


def words_at(x: float, y: float, text: str, confidence: float) -> list[Word]:
    left = x if x >= 0 else -x - len(text) * LETTER
    found = []
    for part in text.split(" "):
        x1, top, bottom = left + len(part) * LETTER, y / HEIGHT, (y + LINE) / HEIGHT
        polygon = (left, top, x1, top, x1, bottom, left, bottom)
        found.append(Word(text=part, polygon=polygon, confidence=confidence))
        left = x1 + LETTER * 0.8
    return found


def values(reading: TableReading | None) -> list[dict[str, str]]:
    return [{name: cell.value for name, cell in row.items()} for row in (reading.rows if reading else ())]


def item(description: str, quantity: str | None, unit: str | None, total: str | None) -> dict[str, str]:
    row = {"description": description, "quantity": quantity, "unit_price": unit, "total_price": total}
    return {name: value for name, value in row.items() if value is not None}


HEAD: Cells = {0.05: "Description", -0.5: "Qty", -0.7: "Unit Price", -0.9: "Amount"}
