"""The rows of an invoice over one or more pages, and its sums. Knows no layout's head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from benchmarks.synth_content import LineItem
from benchmarks.synth_draw import BLACK, GREY, WHITE, Colour, wrap
from benchmarks.synth_invoice import InvoiceDraft


@dataclass(frozen=True)
class Column:
    """One column of the table: its field in a row's key, share of the width and alignment."""

    name: str
    share: float
    align: str


@dataclass(frozen=True)
class Frame:
    """Where rows may stand: left edge, width, first baseline on later pages and last baseline."""

    x: float
    width: float
    top: float
    bottom: float


_SHARES = {"code": 0.13, "description": 0.42, "quantity": 0.1, "unit_price": 0.15, "rate": 0.09, "line_total": 0.16}
RULES = ("lines", "grid", "zebra", "plain", "head_only", "outer")


def plan_columns(draft: InvoiceDraft) -> list[Column]:
    """Return the columns of this document; quantity may stand first, and price or quantity may be missing."""
    names = ["description", "quantity", "unit_price", "line_total"]
    if draft.chance(0.12):
        names = ["description", "line_total"]
    if draft.chance(0.35) and draft.sale.taxed:
        names.insert(-1, "rate")
    if draft.chance(0.4):
        names.insert(0, "code")
    if draft.chance(0.25) and "quantity" in names:
        names.remove("quantity")
        names.insert(names.index("description"), "quantity")
    total = sum(_SHARES[n] for n in names)
    numeric = draft.rng.choice(["right", "right", "right", "center"])
    return [Column(n, _SHARES[n] / total, "left" if n in {"code", "description"} else numeric) for n in names]


class Table:
    """Draws head, rows, page breaks and carried sums."""

    def __init__(self, draft: InvoiceDraft, frame: Frame, rule: str, new_page: Callable[[], None]) -> None:
        self.draft, self.frame, self.rule, self.new_page = draft, frame, rule, new_page
        self.columns = plan_columns(draft)
        self.labels = [draft.label(c.name) for c in self.columns]
        self.head_fill: Colour | None = draft.rng.choice([None, draft.theme.accent, draft.theme.pale])
        self.with_symbol, self.pad = draft.chance(0.35), draft.rng.uniform(0.1, 0.8) * draft.step
        self.carries = draft.chance(0.6)
        self.rows_key: list[dict[str, str | None]] = []

    def draw(self, y: float) -> float:
        """Draw everything from baseline `y`; return the baseline below the table."""
        y, carried = self._head(y), Decimal(0)
        for index, item in enumerate(self.draft.sale.items):
            if y + self._height(item) > self.frame.bottom - (2 * self.draft.step if self.carries else 0):
                if self.carries:
                    self._sum_row(y, "carried", carried)
                self.new_page()
                y = self._head(self.frame.top)
                if self.carries:
                    y = self._sum_row(y, "brought", carried)
            y = self._row(y, item, index)
            carried += item.total
        if self.rule in {"lines", "head_only", "outer"}:
            self.draft.sheet.line(self.frame.x, y - self.draft.step * 0.75, self.frame.width, 0, GREY)
        return y

    def _head(self, y: float) -> float:
        draft, frame, high = self.draft, self.frame, self.draft.step * 1.5
        top = y - draft.step
        if self.head_fill or self.rule == "grid":
            draft.sheet.rect(frame.x, top, frame.width, high, self.head_fill, GREY if self.rule == "grid" else None)
        elif self.rule != "plain":
            draft.sheet.line(frame.x, top + high, frame.width, 0, BLACK, 0.8)
        ink = draft.theme.body.but(bold=True, colour=WHITE if self.head_fill == draft.theme.accent else BLACK)
        for column, label, (left, width) in zip(self.columns, self.labels, self._slots(), strict=True):
            draft.put(_at(left, width, column.align), y + 1, label, ink, column.align, "", width - 5)
        return y + high + self.pad * 0.5

    def _slots(self) -> list[tuple[float, float]]:
        slots, left = [], self.frame.x
        for column in self.columns:
            slots.append((left, column.share * self.frame.width))
            left += column.share * self.frame.width
        return slots

    def _description(self, item: LineItem) -> list[str]:
        index = [c.name for c in self.columns].index("description")
        return wrap(item.description, self.draft.theme.body, self._slots()[index][1] - 8)

    def _height(self, item: LineItem) -> float:
        return len(self._description(item)) * self.draft.step + self.pad

    def _row(self, y: float, item: LineItem, index: int) -> float:
        draft, height = self.draft, self._height(item)
        if self.rule == "zebra" and index % 2:
            draft.sheet.rect(self.frame.x, y - draft.step, self.frame.width, height, draft.theme.pale)
        elif self.rule == "lines":
            draft.sheet.line(self.frame.x, y - draft.step + height, self.frame.width, 0, GREY, 0.3)
        cells = self._cells(item)
        for column, (left, width) in zip(self.columns, self._slots(), strict=True):
            if self.rule == "grid":
                draft.sheet.rect(left, y - draft.step, width, height, None, GREY)
            if column.name == "description":
                draft.lines(left + 4, y, self._description(item), width=width - 8, name="line_items")
            else:
                text, name = cells[column.name], "line_items" if column.name not in {"code", "rate"} else ""
                draft.put(_at(left, width, column.align), y, text, None, column.align, name, width - 5)
        self._record(item)
        return y + height

    def _cells(self, item: LineItem) -> dict[str, str]:
        money = self.draft.locale.money
        show = money.money if self.with_symbol else money.number
        mark = "," if money.pattern.endswith(",56") else "."
        quantity = str(item.quantity.normalize()) if item.quantity % 1 else str(int(item.quantity))
        return {
            "code": item.code,
            "quantity": quantity.replace(".", mark) if item.quantity % 1 else quantity,
            "unit_price": show(item.unit_price),
            "rate": f"{item.rate.normalize():f}%",
            "line_total": show(item.total),
        }

    def _record(self, item: LineItem) -> None:
        names = [c.name for c in self.columns]
        self.rows_key.append({
            "description": item.description,
            "quantity": f"{item.quantity.normalize():f}" if "quantity" in names else None,
            "unit_price": f"{item.unit_price:.2f}" if "unit_price" in names else None,
            "total_price": f"{item.total:.2f}",
        })  # fmt: skip

    def _sum_row(self, y: float, name: str, amount: Decimal) -> float:
        text = self.draft.label(name, previous=len(self.draft.sheets) - 1)
        self.draft.put(self.frame.x + 4, y, text, self.draft.theme.body.but(bold=True), width=self.frame.width * 0.6)
        self.draft.put(
            _at(self.frame.x, self.frame.width, "right"), y, self.draft.locale.money.number(amount), align="right"
        )
        return y + self.draft.step + self.pad


def _at(left: float, width: float, align: str) -> float:
    return {"left": left + 4, "right": left + width - 4, "center": left + width / 2}[align]


@dataclass(frozen=True)
class SumRow:
    """One line of the sums."""

    label: str
    value: str
    name: str
    strong: bool = False


def plan_sums(draft: InvoiceDraft) -> list[SumRow]:
    """Return the lines of the sums, with distractors."""
    sale, show, rows = draft.sale, draft.locale.money.money, []
    if sale.discount:
        rows.append(SumRow(draft.label("gross"), show(sale.gross), ""))
        rows.append(SumRow(draft.label("discount"), show(-sale.discount), ""))
    if draft.chance(0.92 if sale.taxed and not sale.included else 0.4):
        rows.append(SumRow(draft.label("subtotal", rate=0), show(sale.subtotal), "subtotal_amount"))
    taxes = _tax_rows(draft) if sale.taxed else []
    total = SumRow(draft.label("total", rate=0), show(sale.total), "total_amount", True)
    rows += [total, *taxes] if sale.included and draft.chance(0.5) else [*taxes, total]
    if draft.chance(0.15):
        paid = Decimal(draft.rng.randint(1, 9)) * sale.total / 10
        rows.append(SumRow(draft.label("paid"), show(-paid), ""))
        rows.append(SumRow(draft.label("balance"), show(sale.total - Decimal(f"{paid:.2f}")), ""))
    return rows


def _tax_rows(draft: InvoiceDraft) -> list[SumRow]:
    sale, show = draft.sale, draft.locale.money.money
    key = "tax_included" if sale.included else "tax"
    if len(sale.by_rate) == 1:
        return [SumRow(draft.label(key, rate=f"{sale.by_rate[0][0].normalize():f}"), show(sale.tax), "gst_amount")]
    tax = draft.locale.tax_word
    rows = [SumRow(f"{tax} {rate.normalize():f}%", show(amount), "") for rate, _, amount in sale.by_rate]
    return [*rows, SumRow(f"Total {tax}", show(sale.tax), "gst_amount")]


def draw_sums(draft: InvoiceDraft, frame: Frame, y: float, way: str, rows: list[SumRow]) -> float:
    """Draw the sums in one of SUMS' ways; return the baseline below."""
    if way == "strip":
        return _strip(draft, frame, y, rows)
    width = max(frame.width * draft.rng.uniform(0.38, 0.5), 150)
    x = frame.x if way == "left" else frame.x + frame.width - width
    beside = draft.sale.taxed and way != "left" and draft.chance(0.2)
    below = _by_rate(draft, frame.x, y, frame.width - width - 25) if beside else y
    for row in rows:
        y = _sum_line(draft, x, y, width, way, row)
    return max(y, below) + draft.step * 0.5


def _by_rate(draft: InvoiceDraft, x: float, y: float, width: float) -> float:
    """Draw the table of rate, base and tax beside the sums; its numbers are no fields."""
    number, tax = draft.locale.money.number, draft.locale.tax_word
    lines = [(f"{tax} %", draft.label("subtotal", rate=0), tax)]
    lines += [(f"{rate.normalize():f}%", number(net), number(amount)) for rate, net, amount in draft.sale.by_rate]
    for cells in lines:
        for stop, cell in zip((0.24, 0.66, 1.0), cells, strict=True):
            draft.put(x + stop * width, y, cell, None, "right", "", width * (0.24 if stop < 0.3 else 0.31))
        y += draft.step * 1.1
    return y


def _sum_line(draft: InvoiceDraft, x: float, y: float, width: float, way: str, row: SumRow) -> float:
    high = draft.step * (1.5 if way == "box" else 1.2 if not row.strong else 1.4)
    if way == "box":
        draft.sheet.rect(x, y - draft.step, width, high, draft.theme.pale if row.strong else None, GREY)
    elif row.strong and way != "left":
        draft.sheet.line(x, y - draft.step * 0.95, width, 0, BLACK, 0.9)
    ink = draft.theme.body.but(bold=row.strong)
    label = draft.label_text(row.label)
    if way == "labels_right":
        draft.put(x + width * 0.58, y, label, ink, "right", "", width * 0.58)
    else:
        draft.put(x + 4, y, label, ink, width=width * 0.56)
    draft.put(x + width - 4, y, row.value, ink, "right", row.name, width * 0.38)
    return y + high


def _strip(draft: InvoiceDraft, frame: Frame, y: float, rows: list[SumRow]) -> float:
    part, high = frame.width / len(rows), draft.step * 1.5
    draft.sheet.rect(frame.x, y - draft.step, frame.width, 2 * high, draft.theme.pale, GREY)
    for index, row in enumerate(rows):
        middle = frame.x + (index + 0.5) * part
        draft.put(middle, y, row.label, draft.theme.body.but(bold=True), "center", "", part - 6)
        value = draft.theme.body.but(bold=row.strong)
        draft.put(middle, y + high, row.value, value, "center", row.name, part - 6)
    return y + 2 * high + draft.step


SUMS = ("right", "labels_right", "box", "left", "strip")
