"""Draws an invoice over its pages: head, rows, sums, foot. Knows the layouts' traits but none by name."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from benchmarks import synth_invoice_rows as ways
from benchmarks.synth_content import Locale, Sale
from benchmarks.synth_draw import GREY, Sheet
from benchmarks.synth_invoice import InvoiceDraft, Row, pair, white_ink
from benchmarks.synth_invoice_table import Frame, Table, draw_sums, plan_sums
from benchmarks.synth_layouts_invoice import Cell, L, Layout, R
from benchmarks.synth_theme import make_theme


class InvoicePages:
    """Draws one invoice: head, table, sums, foot."""

    def __init__(self, rng: Random, locale: Locale, sale: Sale, layout: Layout) -> None:
        self.rng, self.layout = rng, layout
        theme = make_theme(rng, layout.family)
        if theme.body.family == "mono":
            theme = replace(theme, heading=theme.heading.but(size=theme.heading.size * 0.7))
        self.draft = InvoiceDraft(rng, locale, theme, sale=sale)
        self.foot_height = 92.0 if layout.foot else 34.0
        self.page_pattern = rng.choice(locale.words["labels"]["page"])
        self.rows_way = rng.choice(layout.rows)
        self.draft.plan_rows()

    def draw(self) -> list[dict[str, str | None]]:
        """Draw all pages and return the key's line items."""
        self._new_page()
        y = self._head()
        table = Table(self.draft, self._frame(), self.rng.choice(self.layout.rules), self._new_page)
        y = table.draw(y + self.draft.step)
        self._ending(y + self.draft.step)
        for number, sheet in enumerate(self.draft.sheets, 1):
            self._foot(sheet, number)
        return table.rows_key

    def _frame(self) -> Frame:
        sheet, margin = self.draft.sheets[0], self.draft.theme.margin
        left = 165.0 if self.layout.side else margin
        return Frame(left, sheet.width - margin - left, margin + 40, sheet.height - margin - self.foot_height)

    def _new_page(self) -> None:
        size = (612.0, 792.0) if self.draft.locale.country == "US" else (595.28, 841.89)
        self.draft.sheets.append(Sheet(*size))
        if self.layout.side:
            self._side_bar()
        if len(self.draft.sheets) > 1:
            frame = self._frame()
            self.draft.put(frame.x, self.draft.theme.margin + 8, self.draft.sale.supplier.name, width=frame.width * 0.6)

    def _side_bar(self) -> None:
        draft = self.draft
        draft.sheet.rect(0, 0, 145, draft.sheet.height, draft.theme.accent)
        if len(draft.sheets) == 1:
            draft.ink = white_ink(draft)
            draft.supplier(14, draft.sheet.height * draft.rng.uniform(0.12, 0.4), 118, L)
            draft.bank_lines(14, draft.sheet.height * 0.8, 118, draft.ink, draft.label("bank"))
            draft.ink = None

    def _head(self) -> float:
        frame, draft = self._frame(), self.draft
        y = draft.theme.margin + draft.theme.body.size + 6
        if self.layout.banner:
            draft.sheet.rect(frame.x, y - 14, frame.width, 20, draft.theme.accent)
            ink = white_ink(draft).but(bold=True, size=12)
            draft.put(frame.x + frame.width - 8, y, draft.label("title"), ink, R, "document_type")
            y += 30
        for band in self.layout.bands:
            y = self._band(band, frame, y) + draft.step * self.rng.uniform(0.6, 1.8)
        return y

    def _band(self, band: tuple[Cell, ...], frame: Frame, y: float) -> float:
        left, bottom = frame.x, y
        swap = len(band) == 2 and self.rng.random() < 0.12
        for blocks, share, align in reversed(band) if swap else band:
            width, cursor = frame.width * share, y
            for block in blocks.split():
                cursor = self._block(block, left, cursor, width - (0 if share == 1 else 10), align)
                cursor += self.draft.step * 0.4
            bottom, left = max(bottom, cursor), left + width
        return bottom

    def _block(self, name: str, x: float, y: float, width: float, align: str) -> float:
        draft = self.draft
        if name == "rows":
            if self.layout.rows_below:
                return y
            way = self.rows_way
            if way in ways.WIDE and width < 240 and way != "columns":
                way = "pairs"
            return ways.WAYS[way](draft, x, y, width, align)
        if name == "title" and (self.layout.banner or "document_type" in draft.printed):
            return y
        if name == "supplier" and self.layout.side:
            return y
        bottom: float = getattr(draft, name)(x, y, width, align)
        return bottom

    def _ending(self, y: float) -> None:
        """Draw the sums and notes, on a new page where they would not fit."""
        frame, draft = self._frame(), self.draft
        sums = plan_sums(draft)
        needed = draft.step * (1.6 * len(sums) + 2 + (1.6 * len(draft.rows) + 2 if self.layout.rows_below else 0))
        if y + needed > frame.bottom:
            self._new_page()
            y = frame.top
        elif len(draft.sheets) == 1 and draft.chance(0.3):
            y += draft.rng.uniform(0, max(0.0, frame.bottom - y - needed))
        y = draw_sums(draft, frame, y, self.rng.choice(self.layout.sums), sums) + draft.step
        if self.layout.rows_below:
            y = ways.WAYS[self.rows_way](draft, frame.x, y, frame.width, L) + draft.step
        notes = draft.rng.sample(draft.locale.words["labels"]["notes"], k=draft.rng.randint(0, 3))
        rows: list[Row] = []
        if draft.chance(0.4):
            heading, rows = draft.label("bank"), draft.bank_rows()
            notes = [heading, *(f"{label} {value}" for label, value, _ in rows), *notes]
        since = len(draft.sheet.items)
        for note in notes:
            if y < frame.bottom - draft.step:
                y = draft.lines(frame.x, y, [note], draft.theme.body, L, "", frame.width)
        for _, value, name in rows:
            draft.mark(name, value, since)

    def _foot(self, sheet: Sheet, number: int) -> None:
        draft, frame = self.draft, self._frame()
        last, total = sheet.height - draft.theme.margin * 0.6, len(draft.sheets)
        current, draft.sheets = draft.sheets, [sheet]
        small = draft.theme.body.but(size=7.0, colour=GREY)
        if total > 1 or draft.chance(0.3):
            text = self.page_pattern.format(page=number, pages=total)
            draft.put(frame.x + frame.width, last, text, small, R)
        if self.layout.foot:
            self._foot_columns(frame, last - 66, number)
        draft.sheets = current

    def _foot_columns(self, frame: Frame, y: float, number: int) -> None:
        draft, party = self.draft, self.draft.sale.supplier
        ink, third = draft.theme.body.but(size=7.0), frame.width / 3
        draft.sheet.line(frame.x, y - 10, frame.width, 0, GREY)
        first = number == 1
        below = draft.lines(frame.x, y, [party.name], ink, L, "supplier_name" if first else "", third - 8)
        draft.lines(frame.x, below, party.address, ink, L, "business_address" if first else "", third - 8)
        since = len(draft.sheet.items)
        draft.lines(frame.x + third, y, [f"{draft.label('phone')} {party.phone}", party.web], ink, L, "", third - 8)
        draft.mark("business_phone", party.phone, since)
        draft.mark("supplier_website", party.web, since)
        label = draft.rng.choice(draft.locale.place["id_words"])
        name = "business_abn" if first else ""
        pair(draft, frame.x + third, y + 24, third - 8, L, label, party.tax_number, name, ink)
        draft.bank_lines(frame.x + 2 * third, y, third - 8, ink, draft.label("bank"))
