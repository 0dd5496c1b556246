"""The blocks of an invoice's head and foot: parties, title, numbers and dates. Knows no layout's order of blocks.

Every block is drawn at (x, y) within a width and returns the baseline below it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from benchmarks import synth_numbers as numbers
from benchmarks.synth_content import Sale, make_address
from benchmarks.synth_draw import BLACK, GREY, WHITE, Style, width_of
from benchmarks.synth_theme import Draft

_IBAN_COUNTRIES = frozenset({"DE", "AT", "CH", "FR", "NL", "BE", "ES", "IT"})
Row = tuple[str, str, str]
"""Label, printed value, field name (empty for a distractor)."""


@dataclass
class InvoiceDraft(Draft):
    """An invoice being drawn."""

    sale: Sale = None  # type: ignore[assignment]
    rows: list[Row] = field(default_factory=list)
    ink: Style | None = None
    bank: list[Row] = field(default_factory=list)

    def label_text(self, label: str) -> str:
        """Return the label with this document's colon habit."""
        return label if label[-1] in ":#" else label + self.theme.colon

    def plan_rows(self) -> None:
        """Choose which numbers and dates the invoice names besides its own, and in which order."""
        sale, date, rng = self.sale, self.locale.date, self.rng
        rows = [
            (self.label("invoice_number"), sale.number, "invoice_number"),
            (self.label("invoice_date"), date(sale.date), "invoice_date"),
        ]
        if self.chance(0.6):
            rows.append((self.label("due_date"), date(sale.due), "due_date"))
        if self.chance(0.4):
            rows.append((self.label("po_number"), sale.po_number, "po_number"))
        for name, chance in (("customer_number", 0.45), ("order_number", 0.2)):
            if self.chance(chance):
                rows.append((self.label(name), numbers.digits(rng, rng.randint(4, 9)), ""))
        for name, days, chance in (("delivery_date", 2, 0.2), ("order_date", -5, 0.2)):
            if self.chance(chance):
                rows.append((self.label(name), date(sale.date + dt.timedelta(days=days)), ""))
        if self.chance(0.15):
            rows.append((self.label("terms"), self.label("terms_text"), ""))
        if self.chance(0.25):
            rng.shuffle(rows)
        self.rows = rows[:6] if all(r in rows[:6] for r in rows[:2]) else rows

    def take_row(self, name: str) -> Row | None:
        """Remove and return the row of a field, so that a title can print it instead."""
        for row in self.rows:
            if row[2] == name:
                self.rows.remove(row)
                return row
        return None

    def title(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the document's title in large type."""
        style, text = self.theme.heading, self.label("title")
        y += style.size * 0.4
        self.put(anchor(x, width, align), y, text, style, align, "document_type", width)
        return y + style.size * 0.9

    def title_number(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the title with the number beside it, as in 'Facture FA-1'."""
        row = self.take_row("invoice_number")
        style = self.theme.heading.but(size=self.theme.heading.size * 0.8)
        y += style.size * 0.4
        title = self.label("title") + self.rng.choice(["", "", " #", " :"])
        if row is None or align != "left":
            return self.title(x, y, width, align) if row is None else self._stacked(x, y, width, align, title, row[1])
        style = style.but(
            size=min(style.size, style.size * width / 1.6 / max(1, len(title + row[1]) * style.size * 0.4))
        )
        used = self.put(x, y, title, style, "left", "document_type", width * 0.5) + style.size * 0.35
        self.put(x + used, y, row[1], style, "left", "invoice_number", width - used)
        return y + style.size * 1.2

    def _stacked(self, x: float, y: float, width: float, align: str, title: str, number: str) -> float:
        style = self.theme.heading
        self.put(anchor(x, width, align), y, title, style, align, "document_type", width)
        y += self.step + 3
        self.put(anchor(x, width, align), y, number, self.theme.body, align, "invoice_number", width)
        return y + self.step

    def logo(self, x: float, y: float, width: float, align: str) -> float:
        """Draw a coloured mark beside the supplier's name in large type."""
        size = self.theme.body.size * self.rng.uniform(1.7, 2.4)
        style = Style(self.rng.choice(["sans", "serif", "wide"]), size, True, 0.9, self.theme.accent)
        self.sheet.rect(x, y - size * 0.75, size, size, self.theme.accent)
        self.put(x + size * 1.4, y, self.sale.supplier.name, style, "left", "supplier_name", width - size * 1.5)
        return y + size * 1.1

    def supplier(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the supplier's name, address and some contact lines."""
        party, ink = self.sale.supplier, self.ink or self.theme.body
        if "supplier_name" not in self.printed or self.chance(0.3):
            big = ink.but(bold=True, size=ink.size * self.rng.choice([1, 1.15, 1.5]))
            name = party.name.upper() if self.chance(0.15) and "supplier_name" not in self.printed else party.name
            if "supplier_name" in self.printed:
                name = self.printed["supplier_name"]
            y = self.lines(x, y, [name], big, align, "supplier_name", width)
        y = self.lines(x, y, party.address, ink, align, "business_address", width)
        return self.contact(x, y, width, align)

    def contact(self, x: float, y: float, width: float, align: str) -> float:
        """Draw phone, web address and tax number, each by chance."""
        party, ink = self.sale.supplier, self.ink or self.theme.body
        since = len(self.sheet.items)
        if self.chance(0.5):
            y = self.lines(x, y, [f"{self.label('phone')}: {party.phone}"], ink, align, "", width)
        if self.chance(0.3):
            y = self.lines(x, y, [party.web], ink, align, "", width)
        self.mark("business_phone", party.phone, since)
        self.mark("supplier_website", party.web, since)
        if self.chance(0.6) and "business_abn" not in self.printed:
            y = self.tax_number(x, y, width, align)
        return y

    def tax_number(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the supplier's ABN or tax number after its label."""
        ink, label = self.ink or self.theme.body, self.rng.choice(self.locale.place["id_words"]).rstrip()
        used = pair(self, x, y, width, align, label, self.sale.supplier.tax_number, "business_abn", ink)
        return y + ink.size * self.theme.leading if used else y

    def sender(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the supplier in one small underlined line above the payer, as in a window envelope."""
        style = self.theme.body.but(size=6.5, colour=GREY)
        party = self.sale.supplier
        used = self.put(x, y, party.name, style, "left", "supplier_name", width * 0.45) + 3
        used += self.put(x + used, y, "-", style) + 3
        address = " - ".join(party.address)
        self.put(x + used, y, address, style, "left", "", width - used)
        self.sheet.line(x, y + 2, width, 0, GREY, 0.4)
        return y + 16

    def payer(self, x: float, y: float, width: float, align: str) -> float:
        """Draw who is billed, mostly under a heading."""
        party, body = self.sale.payer, self.theme.body
        if party is None:
            return y
        if self.chance(0.75):
            heading = body.but(bold=True, colour=self.rng.choice([BLACK, self.theme.accent, GREY]))
            text = self.label("bill_to")
            if self.chance(0.15) and align == "left":
                pair(
                    self, x, y, width, align, text if text.endswith(":") else text + ":", party.name, "payer_name", body
                )
                return self.lines(x, y + self.step, party.address, body, align, "payer_address", width)
            y = self.lines(x, y, [text + self.rng.choice(["", ":", ""])], heading, align, "", width)
        y = self.lines(x, y, [party.name], body.but(bold=self.chance(0.3)), align, "payer_name", width)
        y = self.lines(x, y, party.address, body, align, "payer_address", width)
        if self.chance(0.15):
            since = len(self.sheet.items)
            y = self.lines(x, y, [f"{self.label('phone')} {party.phone}"], body, align, "", width)
            self.mark("payer_phone", party.phone, since)
        return y

    def boxed_payer(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the payer in a frame."""
        bottom = self.payer(x + 7, y + 5, width - 14, "left")
        self.sheet.rect(x, y - self.step, width, bottom - y + self.step * 0.7, None, self.rng.choice([BLACK, GREY]))
        return bottom + 8

    def ship(self, x: float, y: float, width: float, align: str) -> float:
        """Draw a delivery address, which is no field."""
        if self.sale.payer is None:
            return y
        y = self.lines(x, y, [self.label("ship_to")], self.theme.body.but(bold=True), align, "", width)
        address = self.sale.payer.address if self.chance(0.5) else make_address(self.rng, self.locale)
        return self.lines(x, y, [self.sale.payer.name, *address], None, align, "", width)

    def bank_rows(self) -> list[Row]:
        """Return where to pay: the same account wherever the invoice names it."""
        rng, country = self.rng, self.locale.country
        if country in _IBAN_COUNTRIES:
            number = numbers.grouped(self.sale.supplier.iban, (4,))
            rows = [("IBAN", number, "account_number")]
        elif country != "AU":
            rows = [
                ("Account", numbers.digits(rng, 8), "account_number"),
                ("Sort code", numbers.digits(rng, 6), "bsb_number"),
            ]
        else:
            rows = [
                ("BSB", f"0{numbers.digits(rng, 2)}-{numbers.digits(rng, 3)}", "bsb_number"),
                ("A/C", numbers.digits(rng, 8), "account_number"),
            ]
        self.bank = self.bank or rows  # drawn anew each time, so that what else is drawn from a seed stays as it was
        return self.bank

    def bank_lines(self, x: float, y: float, width: float, ink: Style | None, heading: str) -> float:
        """Draw the bank details below a heading."""
        rows, since = self.bank_rows(), len(self.sheet.items)
        texts = [heading, *(f"{label} {value}" for label, value, _ in rows)]
        y = self.lines(x, y, texts, ink, "left", "", width)
        for _, value, name in rows:
            self.mark(name, value, since)
        return y

    def amount_box(self, x: float, y: float, width: float, align: str) -> float:
        """Draw the total in a summary box before the rows."""
        height = self.step * 2.4
        self.sheet.rect(x, y - self.step, width, height, self.theme.pale, self.theme.accent)
        label = self.label("total", rate=self.sale.by_rate[-1][0])
        bold = self.theme.body.but(bold=True, size=self.theme.body.size * 1.15)
        used = self.put(x + 6, y + self.step * 0.4, label, bold, width=width * 0.32)
        if self.chance(0.4):
            due = self.locale.date(self.sale.due)
            self.put(x + used + 12, y + self.step * 0.4, due, bold, "left", "due_date", width * 0.6 - used)
        amount = self.locale.money.money(self.sale.total)
        self.put(x + width - 6, y + self.step * 0.4, amount, bold, "right", "total_amount", width * 0.34)
        return y + height + self.step * 0.3


def anchor(x: float, width: float, align: str) -> float:
    return x + {"left": 0.0, "right": width, "center": width / 2}[align]


def pair(
    draft: Draft,
    x: float,
    y: float,
    width: float,
    align: str,
    label: str,
    value: str,
    name: str,
    ink: Style | None = None,
) -> float:
    """Draw 'label value' as one line and return its width."""
    ink = ink or draft.theme.body
    total = width_of(f"{label} {value}", ink)
    ink = ink.but(stretch=ink.stretch * min(1.0, width / total))
    start = x + {"left": 0.0, "right": width - min(total, width), "center": (width - min(total, width)) / 2}[align]
    used = draft.put(start, y, label, ink) + width_of(" ", ink)
    return used + draft.put(start + used, y, value, ink, "left", name)


def white_ink(draft: Draft) -> Style:
    """Return the body style in white, for a coloured ground."""
    return draft.theme.body.but(colour=WHITE)
