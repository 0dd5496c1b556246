"""Draws bank statements: seven layouts of Australian (BSB) and European (IBAN) accounts, one to many pages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from benchmarks.synth_bank_content import Account, Movement, bank_words, make_account
from benchmarks.synth_content import Locale
from benchmarks.synth_draw import BLACK, GREY, WHITE, Sheet, width_of
from benchmarks.synth_theme import Draft, Theme, make_theme


@dataclass(frozen=True)
class BankLayout:
    """The traits of a statement's layout."""

    rows: str
    """How account details stand: pairs, boxes or line."""
    amounts: str
    """columns (debit and credit apart), signed, or marks (CR and DR behind the number)."""
    rule: str
    summary: str
    """Where opening and closing balance are named: table, box or both."""
    family: str | None = None


LAYOUTS: dict[str, BankLayout] = {
    "ledger": BankLayout("pairs", "columns", "lines", "table"),
    "boxed": BankLayout("boxes", "columns", "grid", "both"),
    "modern": BankLayout("line", "columns", "zebra", "box"),
    "typed": BankLayout("pairs", "columns", "plain", "table", "mono"),
    "signed": BankLayout("pairs", "signed", "lines", "both"),
    "marked": BankLayout("boxes", "marks", "plain", "table"),
    "compact": BankLayout("line", "columns", "plain", "both"),
}


@dataclass
class BankDraft(Draft):
    """A statement being drawn."""

    account: Account = None  # type: ignore[assignment]
    layout: BankLayout = None  # type: ignore[assignment]
    stops: list[tuple[str, float, float, str]] = field(default_factory=list)

    def bank_word(self, name: str) -> str:
        """Return one of the words for a statement's label."""
        word: str = self.rng.choice(bank_words(self.locale)[name])
        return word


def make_statement(rng: Random, locale: Locale, layout: BankLayout, count: int) -> tuple[BankDraft, dict[str, Any]]:
    """Return the drawn statement and its key."""
    account = make_account(rng, locale, count)
    draft = BankDraft(rng, locale, make_theme(rng, layout.family), account=account, layout=layout)
    _draw(draft)
    return draft, _key(draft)


def _key(draft: BankDraft) -> dict[str, Any]:
    account, printed = draft.account, draft.printed
    key: dict[str, Any] = {
        n: printed.get(n) for n in ("bank_name", "bsb_number", "account_number", "account_holder", "statement_period")
    }
    key["statement_period"] = f"{account.start.isoformat()}/{account.end.isoformat()}"
    key["opening_balance"], key["closing_balance"] = f"{account.opening:.2f}", f"{account.closing:.2f}"
    key["transactions"] = [
        {
            "date": m.date.isoformat(),
            "description": m.description,
            "debit": None if m.debit is None else f"{m.debit:.2f}",
            "credit": None if m.credit is None else f"{m.credit:.2f}",
            "balance": f"{m.balance:.2f}",
        }
        for m in account.movements
    ]
    return key


def _draw(draft: BankDraft) -> None:
    y = _new_page(draft)
    _plan_stops(draft)
    y = _details(draft, y + draft.step)
    if draft.layout.summary in {"box", "both"}:
        y = _summary_box(draft, y + draft.step)
    y = _table_head(draft, y + 2 * draft.step)
    table = draft.layout.summary in {"table", "both"}
    if table:
        y = _balance_row(draft, y, "opening_balance", draft.account.opening)
    for index, movement in enumerate(draft.account.movements):
        if y > draft.sheet.height - draft.theme.margin - 4 * draft.step:
            y = _turn(draft, y, draft.account.movements[index - 1].balance)
        y = _movement_row(draft, y, movement, index)
    if table:
        _balance_row(draft, y, "closing_balance", draft.account.closing)
    for number, sheet in enumerate(draft.sheets, 1):
        _foot(draft, sheet, number)


def _new_page(draft: BankDraft) -> float:
    draft.sheets.append(Sheet())
    theme, first = draft.theme, len(draft.sheets) == 1
    y = theme.margin + 12
    big = theme.heading if first else theme.body.but(bold=True)
    if first and draft.chance(0.4):
        draft.sheet.rect(0, 0, draft.sheet.width, theme.margin + 24, theme.accent)
        big = big.but(colour=WHITE)
    draft.put(theme.margin, y, draft.account.bank_name, big, name="bank_name" if first else "", width=250)
    title = theme.body.but(bold=True, colour=big.colour, size=theme.body.size * (1.3 if first else 1))
    draft.put(draft.sheet.width - theme.margin, y, draft.bank_word("title"), title, "right", "", 200)
    y += 24
    if first and draft.chance(0.6):
        y = draft.lines(theme.margin, y + 8, draft.account.bank.address, theme.body.but(colour=GREY), width=220)
    return y + draft.step


def _rows(draft: BankDraft) -> list[tuple[str, str, str]]:
    account, date = draft.account, draft.locale.date
    joiner = draft.rng.choice([" - ", " to " if draft.locale.language == "en" else " - ", " – "])
    rows = [(draft.bank_word("account_holder"), account.holder.name, "account_holder")]
    if account.bsb:
        rows.append((draft.bank_word("bsb_number"), account.bsb, "bsb_number"))
    rows.append(
        (draft.bank_word("iban" if account.bsb is None else "account_number"), account.number, "account_number")
    )
    rows.append(
        (draft.bank_word("statement_period"), date(account.start) + joiner + date(account.end), "statement_period")
    )
    if draft.chance(0.5):
        rows.append((draft.bank_word("number"), str(draft.rng.randint(1, 180)), ""))
    if draft.chance(0.5):
        rows.append((draft.bank_word("issued"), date(account.end + dt.timedelta(days=1)), ""))
    return rows


def _details(draft: BankDraft, y: float) -> float:
    theme, account = draft.theme, draft.account
    body, half = theme.body, (draft.sheet.width - 2 * theme.margin) / 2
    left = draft.lines(theme.margin, y, [account.holder.name, *account.holder.address], width=half - 20)
    rows = _rows(draft)
    if draft.layout.rows == "line":
        return _tiles(draft, left + draft.step, rows)
    x, column = theme.margin + half, half * 0.42
    for label, value, name in rows:
        if draft.layout.rows == "boxes":
            draft.sheet.rect(x, y - draft.step, half, draft.step * 1.3, None, GREY)
        text = label if label.endswith(":") else label + theme.colon
        draft.put(x + 4, y, text, body.but(bold=draft.layout.rows == "boxes"), width=column - 8)
        draft.put(x + column, y, value, body, "left", name, half - column - 4)
        y += draft.step * (1.3 if draft.layout.rows == "boxes" else 1.1)
    return max(y, left)


def _tiles(draft: BankDraft, y: float, rows: list[tuple[str, str, str]]) -> float:
    part = (draft.sheet.width - 2 * draft.theme.margin) / 3
    small = draft.theme.body.but(size=draft.theme.body.size * 0.85, colour=GREY)
    for index, (label, value, name) in enumerate(rows):
        x, top = draft.theme.margin + index % 3 * part, y + index // 3 * draft.step * 2.6
        draft.put(x, top, label, small, width=part - 8)
        draft.put(x, top + draft.step, value, draft.theme.body, "left", name, part - 8)
    return y + -(-len(rows) // 3) * draft.step * 2.6


def _summary_box(draft: BankDraft, y: float) -> float:
    account, show = draft.account, draft.locale.money.money
    money_in = sum((m.credit for m in account.movements if m.credit), Decimal(0))
    money_out = sum((m.debit for m in account.movements if m.debit), Decimal(0))
    cells = [
        (draft.bank_word("opening_balance"), account.opening, "opening_balance"),
        (draft.bank_word("credits"), money_in, ""),
        (draft.bank_word("debits"), money_out, ""),
        (draft.bank_word("closing_balance"), account.closing, "closing_balance"),
    ]
    part = (draft.sheet.width - 2 * draft.theme.margin) / 4
    draft.sheet.rect(draft.theme.margin, y - draft.step, 4 * part, draft.step * 2.7, draft.theme.pale, GREY)
    for index, (label, amount, name) in enumerate(cells):
        middle = draft.theme.margin + (index + 0.5) * part
        draft.put(middle, y, label, draft.theme.body, "center", "", part - 6)
        draft.put(middle, y + draft.step * 1.2, show(amount), draft.theme.body.but(bold=True), "center", name, part - 6)
    return y + 2 * draft.step


def _plan_stops(draft: BankDraft) -> None:
    """Choose the columns: name, left edge, right edge, alignment."""
    theme: Theme = draft.theme
    names = (
        ["date", "description", "debit", "credit", "balance"]
        if draft.layout.amounts == "columns"
        else ["date", "description", "amount", "balance"]
    )
    shares = {"date": 0.16, "description": 0.38, "debit": 0.15, "credit": 0.15, "amount": 0.2, "balance": 0.16}
    total, left = sum(shares[n] for n in names), theme.margin
    for name in names:
        width = shares[name] / total * (draft.sheet.width - 2 * theme.margin)
        draft.stops.append((name, left, left + width, "left" if name in {"date", "description"} else "right"))
        left += width


def _table_head(draft: BankDraft, y: float) -> float:
    theme, width = draft.theme, draft.sheet.width - 2 * draft.theme.margin
    filled = draft.layout.rule in {"zebra", "grid"}
    if filled:
        draft.sheet.rect(theme.margin, y - draft.step, width, draft.step * 1.4, theme.accent)
    else:
        draft.sheet.line(theme.margin, y + draft.step * 0.4, width, 0, BLACK, 0.8)
    ink = theme.body.but(bold=True, colour=WHITE if filled else BLACK)
    for name, left, right, align in draft.stops:
        label = "Amount" if name == "amount" else draft.bank_word(name)
        draft.put(left + 3 if align == "left" else right - 3, y, label, ink, align, "", right - left - 6)
    return y + draft.step * 1.5


def _movement_row(draft: BankDraft, y: float, movement: Movement, index: int) -> float:
    width = draft.sheet.width - 2 * draft.theme.margin
    if draft.layout.rule == "zebra" and index % 2:
        draft.sheet.rect(draft.theme.margin, y - draft.step * 0.85, width, draft.step * 1.15, draft.theme.pale)
    elif draft.layout.rule == "lines":
        draft.sheet.line(draft.theme.margin, y + draft.step * 0.32, width, 0, GREY, 0.3)
    cells = _cells(draft, movement)
    for name, left, right, align in draft.stops:
        if draft.layout.rule == "grid":
            draft.sheet.rect(left, y - draft.step * 0.85, right - left, draft.step * 1.15, None, GREY)
        if cells[name]:
            x = left + 3 if align == "left" else right - 3
            draft.put(x, y, cells[name], None, align, "transactions", right - left - 6)
    return y + draft.step * 1.15


def _cells(draft: BankDraft, movement: Movement) -> dict[str, str]:
    show = draft.locale.money.number
    signed = (movement.credit or Decimal(0)) - (movement.debit or Decimal(0))
    marked = f"{show(abs(signed))} {'CR' if signed > 0 else 'DR'}"
    return {
        "date": draft.locale.date(movement.date),
        "description": movement.description,
        "debit": show(movement.debit) if movement.debit is not None else "",
        "credit": show(movement.credit) if movement.credit is not None else "",
        "amount": marked if draft.layout.amounts == "marks" else ("+" if signed > 0 else "") + show(signed),
        "balance": show(movement.balance) + (" CR" if draft.layout.amounts == "marks" else ""),
    }


def _balance_row(draft: BankDraft, y: float, name: str, amount: Decimal) -> float:
    _, left, right, _ = draft.stops[1]
    bold, edge = draft.theme.body.but(bold=True), draft.stops[-1]
    draft.put(left + 3, y, draft.bank_word(name), bold, width=right - left - 6)
    text = draft.locale.money.number(amount)
    draft.put(edge[2] - 3, y, text, bold, "right", name, edge[2] - edge[1] - 6)
    return y + draft.step * 1.15


def _turn(draft: BankDraft, y: float, balance: Decimal) -> float:
    """Carry the balance to a new page, where the statement's habit is so."""
    carries = draft.layout.summary != "box"
    amount, edge, left = draft.locale.money.number(balance), draft.stops[-1], draft.stops[1][1] + 3
    if carries:
        draft.put(left, y, draft.label("carried"))
        draft.put(edge[2] - 3, y, amount, None, "right")
    y = _table_head(draft, _new_page(draft) + draft.step)
    if carries:
        draft.put(left, y, draft.label("brought", previous=len(draft.sheets) - 1))
        draft.put(edge[2] - 3, y, amount, None, "right")
        y += draft.step * 1.15
    return y


def _foot(draft: BankDraft, sheet: Sheet, number: int) -> None:
    text, small = f"Page {number} of {len(draft.sheets)}", draft.theme.body.but(size=7.0, colour=GREY)
    x = sheet.width - draft.theme.margin - width_of(text, small)
    sheet.text(x, sheet.height - draft.theme.margin * 0.6, text, small)
