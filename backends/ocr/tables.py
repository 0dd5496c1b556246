"""Reads a table of a document (line items, transactions, a user's own) into rows of cells. Knows no other field.

Under a heading, columns are placed by the headings and by the white space below them; without one, lines that end in
an amount are rows. Arithmetic (quantity x unit price = total, running balance) decides what number is what, and how far
the reading is to be believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from backends.ocr.layout import PageLayout
from backends.ocr.table_classify import Part
from backends.ocr.table_finish import derive_quantities, finish_movements, finish_products, make_rows
from backends.ocr.table_headers import Header, find_headers, role_of
from backends.ocr.table_lines import Line, cover, read_lines
from backends.ocr.table_parts import read_headed, read_unheaded, without_carries
from backends.ocr.table_rows import Draft
from router.arithmetic import equal
from router.schema import FieldSpec
from router.types import Cell, Polygon

_CANDIDATE_HEADERS = 3
_MAX_ROWS = 5000


@dataclass(frozen=True)
class TableReading:
    """Rows of one table: column name to cell. `page` and `polygon` say where the table starts.

    `confidence` is the estimated probability that every row is right. `headed`: a heading was found; `checked`: share
    of rows whose arithmetic holds, None where no row could be checked; `summed`: the rows add up to a printed sum.
    """

    rows: tuple[dict[str, Cell], ...]
    confidence: float
    page: int
    polygon: Polygon
    headed: bool
    checked: float | None
    summed: bool | None


def read_table(pages: Sequence[PageLayout], spec: FieldSpec) -> TableReading | None:
    """Return the rows of a table field over all pages, or None where the document has no such table."""
    lines = [read_lines(page) for page in pages]
    readings = []
    for start, header in _candidates(lines, spec):
        reading = _finish(_read_from(lines, start, header, spec), spec, lines)
        if reading is not None:
            readings.append(reading)
        if reading is not None and (reading.summed or (reading.checked or 0.0) > 0.9):
            break
    if not any(r.summed or (r.checked or 0.0) > 0.9 for r in readings):
        plain = _finish([read_unheaded(page, spec) for page in lines], spec, lines)
        readings += [plain] if plain is not None else []
    return max(readings, key=_merit, default=None)


def _candidates(lines: Sequence[Sequence[Line]], spec: FieldSpec) -> list[tuple[int, Header]]:
    """Return (page index, heading) of the best headings in the document, best first, the first page's before others."""
    found = [
        (index, header) for index, page in enumerate(lines) for header in find_headers(page, spec)[:_CANDIDATE_HEADERS]
    ]
    found.sort(key=lambda f: (-len(f[1].columns()), f[0]))
    return found[:_CANDIDATE_HEADERS]


def _read_from(lines: Sequence[Sequence[Line]], start: int, first: Header, spec: FieldSpec) -> list[Part]:
    parts = [read_headed(lines[start], first, None, spec)]
    for page in lines[start + 1 :]:
        again = [
            h for h in find_headers(page, spec) if len(h.columns() & first.columns()) >= 0.6 * len(first.columns())
        ]
        if not again and parts[-1].ended:
            break
        parts.append(read_headed(page, again[0] if again else None, parts[-1], spec))
        if sum(len(p.rows) for p in parts) > _MAX_ROWS:
            break
    return parts


def _finish(parts: Sequence[Part], spec: FieldSpec, lines: Sequence[Sequence[Line]]) -> TableReading | None:
    drafts = [row for part in parts for row in part.rows]
    roles = {role_of(c): c.name for c in spec.columns}
    headed = any(p.headed and p.rows for p in parts)
    finish_products(drafts, spec, headed)
    finish_movements(drafts, spec, next((p.opening for p in parts if p.rows), None))
    if "total_price" in roles:
        drafts = without_carries(drafts, roles["total_price"])
    rows = make_rows(drafts, spec, [line for page in lines for line in page])
    if roles.get("quantity") in {name for part in parts for name in part.names.values()}:
        derive_quantities(rows, spec)
    summed = _adds_up(drafts, roles, [s for p in parts for s in p.sums])
    kept = [(d, r) for d, r in zip(drafts, rows, strict=True) if _is_row(r, spec) and not _is_reduction(d, roles)]
    if not kept:
        return None
    drafts, rows = [d for d, _ in kept], [r for _, r in kept]
    checks = [d.check for d in drafts if d.check is not None]
    checked = sum(checks) / len(checks) if checks else None
    page = min(c.page for r in rows for c in r.values() if c.page is not None)
    polygons = [c.polygon for r in rows for c in r.values() if c.page == page and c.polygon is not None]
    believed = _confidence(rows, spec, headed, checked, summed)
    return TableReading(tuple(rows), believed, page, cover(polygons), headed, checked, summed)


def _is_row(row: dict[str, Cell], spec: FieldSpec) -> bool:
    """A row has text or, where it has none, two other cells; a lone date or number is none."""
    texts = [c.name for c in spec.columns if c.kind == "text" and c.name in row]
    return len(row) >= 2 and (bool(texts) or len(row) > 2 or not any(c.kind == "text" for c in spec.columns))


def _is_reduction(draft: Draft, roles: dict[str, str]) -> bool:
    """A negative total without quantity takes off from the rows above: it counts in the sum, but is no item."""
    total = draft.numbers.get(roles.get("total_price", ""))
    return total is not None and total.value < 0 and len(draft.numbers) == 1


def _adds_up(drafts: Sequence[Draft], roles: dict[str, str], sums: Sequence[Decimal]) -> bool | None:
    """Return whether the rows' totals add up to a printed sum; None where there is nothing to compare."""
    name = roles.get("total_price")
    amounts = [d.numbers[name].value for d in drafts if name in d.numbers] if name else []
    if not amounts or not sums:
        return None
    return any(equal(sum(amounts, Decimal(0)), s, Decimal("0.02")) for s in sums)


def _merit(reading: TableReading) -> float:
    return (
        2.0 * bool(reading.summed) + (reading.checked or 0.0) + 0.8 * reading.headed + 0.01 * min(len(reading.rows), 20)
    )


def _confidence(
    rows: Sequence[dict[str, Cell]], spec: FieldSpec, headed: bool, checked: float | None, summed: bool | None
) -> float:
    """Return a logistic of the evidence, its weights set by hand: benchmarks/tables.py shows how well it ranks."""
    weakest = min(c.confidence or 0.0 for r in rows for c in r.values())
    logit = -0.5 + 0.8 * headed + 1.5 * weakest
    logit += 0.0 if checked is None else 2.0 * checked - 1.2
    logit += 0.0 if summed is None else (1.0 if summed else -1.0)
    return 1.0 / (1.0 + math.exp(-logit))
