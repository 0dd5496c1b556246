"""Rows, sums, payment and tax summary of a receipt."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from benchmarks.synth_content import LineItem
from benchmarks.synth_draw import BLACK, GREY

if TYPE_CHECKING:
    from benchmarks.synth_receipt import ReceiptDraft

Items = list[LineItem]


def _record(draft: ReceiptDraft, item: LineItem, quantity: bool, price: bool) -> None:
    draft.key_rows.append({
        "description": item.description,
        "quantity": f"{item.quantity.normalize():f}" if quantity else None,
        "unit_price": f"{item.unit_price:.2f}" if price else None,
        "total_price": f"{item.total:.2f}",
    })  # fmt: skip


def _quantity(draft: ReceiptDraft, item: LineItem) -> str:
    if item.quantity % 1 or draft.rng.random() < 0.15:
        return draft.locale.money.number(item.quantity)
    return str(int(item.quantity))


def _one_line(draft: ReceiptDraft, items: Items) -> None:
    """Quantity, description, amount."""
    number = draft.locale.money.number
    first = draft.chance(0.6)
    for item in items:
        x = draft.left
        if first:
            draft.put(x, draft.y, _quantity(draft, item), None, "left", "line_items", draft.width * 0.11)
            x += draft.width * 0.13
        room = draft.left + draft.width * 0.74 - x
        draft.put(x, draft.y, item.description, None, "left", "line_items", room)
        draft.put(
            draft.left + draft.width, draft.y, number(item.total), None, "right", "line_items", draft.width * 0.24
        )
        _record(draft, item, first, False)
        draft.feed()


def _two_lines(draft: ReceiptDraft, items: Items) -> None:
    """Description above; code, quantity x price and amount below."""
    number, cross = draft.locale.money.number, draft.rng.choice([" X ", " x ", " @ ", "x"])
    with_code, tax_code = draft.chance(0.5), draft.rng.choice(["", "", " S", " SR", " Z"])
    for item in items:
        draft.put(draft.left, draft.y, item.description, None, "left", "line_items", draft.width)
        draft.feed()
        if with_code:
            draft.put(draft.left, draft.y, item.code, width=draft.width * 0.34)
        middle = f"{_quantity(draft, item)}{cross}{number(item.unit_price)}"
        anchor = (draft.left + draft.width * 0.68, "right") if with_code else (draft.left + 12, "left")
        draft.put(anchor[0], draft.y, middle, None, anchor[1], "line_items", draft.width * 0.32)
        amount = number(item.total) + tax_code
        draft.put(draft.left + draft.width, draft.y, amount, None, "right", "line_items", draft.width * 0.28)
        _record(draft, item, True, True)
        draft.feed()


def _table(draft: ReceiptDraft, items: Items) -> None:
    """A head of four columns; each row on one line, or the description on its own line."""
    bold, below = draft.theme.body.but(bold=draft.chance(0.5)), draft.chance(0.4)
    stops = (0.0, 0.56, 0.78, 1.0)
    labels = [draft.word(n) for n in ("description", "quantity", "unit_price", "line_total")]
    for stop, label in zip(stops, labels, strict=True):
        align = "left" if stop == 0 else "right"
        draft.put(
            draft.left + stop * draft.width,
            draft.y,
            label,
            bold,
            align,
            "",
            draft.width * (0.44 if stop == 0 else 0.1 if stop < 0.6 else 0.2),
        )
    draft.feed()
    draft.rule()
    for item in items:
        room = draft.width * (1.0 if below else 0.44)
        draft.put(draft.left, draft.y, item.description, None, "left", "line_items", room)
        if below:
            draft.feed()
        values = (
            _quantity(draft, item),
            draft.locale.money.number(item.unit_price),
            draft.locale.money.number(item.total),
        )
        for stop, value in zip(stops[1:], values, strict=True):
            room = draft.width * (0.1 if stop < 0.6 else 0.2)
            draft.put(draft.left + stop * draft.width, draft.y, value, None, "right", "line_items", room)
        _record(draft, item, True, True)
        draft.feed()


def _priced(draft: ReceiptDraft, items: Items) -> None:
    """Description and amount with its symbol; quantities above one on their own line."""
    for item in items:
        many = item.quantity != 1
        draft.put(draft.left, draft.y, item.description, None, "left", "line_items", draft.width * 0.68)
        amount = draft.locale.money.money(item.total)
        draft.put(draft.left + draft.width, draft.y, amount, None, "right", "line_items", draft.width * 0.28)
        draft.feed()
        if many:
            text = f"{_quantity(draft, item)} @ {draft.locale.money.money(item.unit_price)}"
            draft.put(draft.left + 14, draft.y, text, None, "left", "line_items", draft.width * 0.7)
            draft.feed()
        _record(draft, item, many, many)


ITEM_WAYS: dict[str, Callable[[ReceiptDraft, Items], None]] = {
    "one_line": _one_line,
    "two_lines": _two_lines,
    "table": _table,
    "priced": _priced,
}


def draw_sums(draft: ReceiptDraft) -> None:
    """Draw sums, payment and tax summary."""
    way = draft.rng.choice(draft.layout.sums)
    symbol = draft.chance(0.45)
    show = draft.locale.money.money if symbol or way == "symbol" else draft.locale.money.number
    rows = _sum_rows(draft, show)
    for label, value, name in rows:
        _line(draft, way, label, value, name)
    if draft.sale.taxed and draft.chance(0.35):
        draft.feed(0.5)
        _summary(draft)


def _sum_rows(draft: ReceiptDraft, show: Callable[[Decimal], str]) -> list[tuple[str, str, str]]:
    sale, rows = draft.sale, []
    if draft.chance(0.25):
        rows.append((draft.rng.choice(["Item(s)", "Total Qty", "Item Count"]), str(len(sale.items)), ""))
    if sale.discount:
        rows += [(draft.label("gross"), show(sale.gross), ""), (draft.label("discount"), show(-sale.discount), "")]
    tax_rows = []
    if sale.taxed and draft.chance(0.8):
        key = "tax_included" if sale.included else "tax"
        tax_rows = [(draft.word(key), show(sale.tax), "gst_amount")]
    if draft.chance(0.8 if sale.taxed and not sale.included else 0.3):
        rows.append((draft.word("subtotal"), show(sale.subtotal), "subtotal_amount"))
    totals = _totals(draft, show)
    rows += [*totals, *tax_rows] if sale.included and draft.chance(0.6) else [*tax_rows, *totals]
    return rows + _payment(draft, show)


def _totals(draft: ReceiptDraft, show: Callable[[Decimal], str]) -> list[tuple[str, str, str]]:
    total = draft.sale.total
    if draft.locale.country != "MY" or draft.chance(0.35):
        return [(draft.word("total"), show(total), "total_amount")]
    rounded = (total * 20).quantize(Decimal(1), ROUND_HALF_UP) / 20
    draft.total = rounded
    rounding = (draft.word("rounding"), show(rounded - total), "")
    if rounded == total and draft.chance(0.4):
        return [(draft.word("total"), show(total), "total_amount"), rounding]
    return [
        (draft.word("before_rounding"), show(total), ""),
        rounding,
        (draft.word("total_rounded"), show(rounded), "total_amount"),
    ]


def _payment(draft: ReceiptDraft, show: Callable[[Decimal], str]) -> list[tuple[str, str, str]]:
    if draft.chance(0.2):
        return []
    if draft.chance(0.35):
        rows = [(draft.word("card"), show(draft.total), "")]
        return [*rows, (draft.word("change"), show(Decimal(0)), "")] if draft.chance(0.4) else rows
    note = Decimal(draft.rng.choice([5, 10, 50]))
    tendered = draft.total if draft.chance(0.15) else (draft.total // note + 1) * note
    return [(draft.word("cash"), show(tendered), ""), (draft.word("change"), show(tendered - draft.total), "")]


def _line(draft: ReceiptDraft, way: str, label: str, value: str, name: str) -> None:
    symbol = draft.locale.money.symbol
    if way == "symbol" and value.startswith(symbol):
        draft.put(draft.left + draft.width * 0.66, draft.y, symbol, None, "right", "", draft.width * 0.13)
        value = value.removeprefix(symbol).strip()
        draft.put(draft.left, draft.y, label, None, "left", "", draft.width * 0.52)
        draft.put(draft.left + draft.width, draft.y, value, None, "right", name, draft.width * 0.32)
        draft.feed()
        return
    strong = name == "total_amount"
    ink = draft.theme.body.but(bold=strong or draft.theme.body.bold)
    if strong and way == "big":
        ink = ink.but(size=ink.size * 1.35)
        draft.feed(0.3)
    if way == "colon":
        draft.put(draft.left + draft.width * 0.64, draft.y, f"{label} :", ink, "right", "", draft.width * 0.64)
        draft.put(draft.left + draft.width, draft.y, value, ink, "right", name, draft.width * 0.3)
    elif way == "near":
        draft.put(draft.left, draft.y, label, ink, "left", "", draft.width * 0.5)
        draft.put(draft.left + draft.width * 0.54, draft.y, value, ink, "left", name, draft.width * 0.44)
    else:
        draft.put(draft.left, draft.y, label, ink, "left", "", draft.width * 0.62)
        draft.put(draft.left + draft.width, draft.y, value, ink, "right", name, draft.width * 0.36)
    draft.feed(1.35 if strong and way == "big" else 1.0)


def _summary(draft: ReceiptDraft) -> None:
    """Draw the table of tax by rate, whose numbers are no fields."""
    number, top = draft.locale.money.number, draft.y - draft.step
    boxed = draft.chance(0.4)
    x, width = draft.left + (5 if boxed else 0), draft.width - (10 if boxed else 0)
    lines = [
        (
            draft.word("summary"),
            draft.rng.choice(["Amt(RM)" if draft.locale.country == "MY" else "Amount", "Amount", "Net"]),
            "Tax",
        )
    ]
    for rate, net, tax in draft.sale.by_rate:
        code = draft.rng.choice(["SR", "S", "A", draft.locale.tax_word])
        lines.append((f"{code} @ {rate.normalize():f}%", number(net), number(tax)))
    if draft.chance(0.4):
        lines.append(("Total", number(draft.sale.subtotal), number(draft.sale.tax)))
    for index, (label, middle, last) in enumerate(lines):
        ink = draft.theme.body.but(bold=index == 0)
        draft.put(x, draft.y, label, ink, width=width * 0.42)
        draft.put(x + width * 0.72, draft.y, middle, ink, "right", "", width * 0.28)
        draft.put(x + width, draft.y, last, ink, "right", "", width * 0.26)
        draft.feed()
    if boxed:
        draft.sheet.rect(
            draft.left, top, draft.width, draft.y - top - draft.step * 0.5, None, draft.rng.choice([BLACK, GREY])
        )
