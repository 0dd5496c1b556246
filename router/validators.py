"""Checks of extracted fields against arithmetic, dates, checksums and patterns. Knows no lane, page or clock.

Every check is pass, fail or not_applicable, with a detail a person understands. A check that ties several fields
together is given to each of them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from router.arithmetic import balances_hold, decimal_of, equal, exceeds_gst_of, is_gst_of, product_holds, total_holds
from router.identifiers import identifier_checks
from router.schema import FieldSpec, Schema
from router.types import Cell, Check, FieldValue

ROWS_COMPLETE = "rows_complete"
"""The check of a table's reading that fails where its lane knows of rows that it did not read."""
Fields = Mapping[str, FieldValue]
Outcome = Literal["pass", "fail", "not_applicable"]
SUBTOTALS, TAXES, TOTALS = ("subtotal_amount",), ("gst_amount", "tax_amount", "vat_amount"), ("total_amount",)
_LINE_TOTALS = ("total_price", "line_total", "amount")
_FUTURE_DAYS = {"due_date": 731}
_ZERO = Decimal(0)


def validate(fields: Fields, schema: Schema, today: dt.date | None = None) -> dict[str, tuple[Check, ...]]:
    """Return the checks of every field that is there; dates are compared with `today` only where it is given."""
    checks: dict[str, list[Check]] = {name: [] for name in fields}
    for spec in schema.fields:
        if (field := fields.get(spec.name)) is not None and field.present:
            checks[spec.name].extend(field_checks(field, spec, today))
    for names, check in _relations(fields, schema):
        for name in names:
            if name in checks:
                checks[name].append(check)
    return {name: tuple(found) for name, found in checks.items()}


def field_checks(field: FieldValue, spec: FieldSpec, today: dt.date | None = None) -> tuple[Check, ...]:
    """Return the checks that one field can pass or fail alone: pattern, checksum, plausible days and their order."""
    if not field.present or field.value is None:
        return ()
    found: list[Check] = []
    if spec.pattern is not None:
        holds = re.fullmatch(spec.pattern, field.value) is not None
        found.append(_check("pattern", holds, f"{field.value!r} against {spec.pattern!r}"))
    if spec.kind == "identifier":
        found.extend(identifier_checks(spec.name, field.value))
    if spec.kind == "date":
        found.append(_plausible(spec.name, field.value, today))
    if spec.kind == "period":
        found.extend(_plausible_period(spec.name, field.value, today))
    return tuple(found)


def total_roles(schema: Schema) -> tuple[str, str, str] | None:
    """Return the names of the subtotal, tax and total field of a schema, or None where it lacks one."""
    names = schema.names()
    roles = [next((n for n in group if n in names), None) for group in (SUBTOTALS, TAXES, TOTALS)]
    return (roles[0], roles[1], roles[2]) if roles[0] and roles[1] and roles[2] else None


def table_checks(spec: FieldSpec, rows: Sequence[Mapping[str, Cell]], fields: Fields) -> list[tuple[int, int, str]]:
    """Return (rows or sums that hold, those that could be tested, check name) of a table's own arithmetic."""
    columns = {c.name for c in spec.columns}
    found: list[tuple[int, int, str]] = []
    if {"quantity", "unit_price"} <= columns:
        outcomes = [o for row in rows if (o := _row_product(row)) is not None]
        found.append((sum(outcomes), len(outcomes), "line_product"))
        outcome = _line_sum(rows, fields)
        found.append((int(outcome is True), int(outcome is not None), "line_sum"))
    if {"debit", "credit"} <= columns:
        outcomes = balances_hold(_amount(fields, "opening_balance"), _movements(rows))
        found.append((sum(outcomes), len(outcomes), "running_balance"))
        outcome = _balance_sum(rows, fields)
        found.append((int(outcome is True), int(outcome is not None), "balance_sum"))
    return found


def movement_sum(rows: Sequence[Mapping[str, Cell]]) -> Decimal | None:
    """Return credits minus debits of a table of bank transactions, or None where it has no such columns."""
    if not any("debit" in row or "credit" in row for row in rows):
        return None
    return sum((movement for movement, _ in _movements(rows)), _ZERO)


_TIED = {
    "line_product": (),
    "running_balance": (),
    "line_sum": (*SUBTOTALS, *TOTALS),
    "balance_sum": ("opening_balance", "closing_balance"),
}
_MEANING = {
    "line_product": "quantity x unit price = line total",
    "line_sum": "sum of the lines = subtotal or total",
    "running_balance": "each balance follows from the one before",
    "balance_sum": "opening + credits - debits = closing",
}


def _relations(fields: Fields, schema: Schema) -> list[tuple[tuple[str, ...], Check]]:
    found: list[tuple[tuple[str, ...], Check]] = []
    if roles := total_roles(schema):
        found.append((roles, _total_check(fields, roles)))
        if roles[1] == "gst_amount":
            found.append((roles[:2], _gst_check(fields, roles)))
    if {"invoice_date", "due_date"} <= set(schema.names()):
        found.append((("invoice_date", "due_date"), _date_order(fields)))
    for spec in schema.fields:
        table = fields.get(spec.name)
        if spec.kind == "table" and table is not None and table.rows:
            for holds, tested, name in table_checks(spec, table.rows, fields):
                found.append(((spec.name, *_TIED[name]), _counted(name, holds, tested)))
    return found


def _total_check(fields: Fields, roles: tuple[str, str, str]) -> Check:
    subtotal, tax, total = (_amount(fields, name) for name in roles)
    name = "total_sum"
    if subtotal is None or tax is None or total is None:
        missing = [r for r in roles if _amount(fields, r) is None]
        return Check(name=name, outcome="not_applicable", detail=f"not read: {', '.join(missing)}")
    said = f"{subtotal} + {tax} = {total}"
    if total_holds(subtotal, tax, total):
        return Check(name=name, outcome="pass", detail=said)
    included = fields.get("is_gst_included")
    if equal(subtotal, total) and (included is None or included.value != "false"):
        return Check(name=name, outcome="not_applicable", detail=f"the subtotal {subtotal} already includes the tax")
    return Check(name=name, outcome="fail", detail=f"{said} is off by {subtotal + tax - total}")


def _gst_check(fields: Fields, roles: tuple[str, str, str]) -> Check:
    """Tie tax and subtotal by Australia's rate; other countries have others, and goods free of tax make it smaller."""
    subtotal, tax, total = (_amount(fields, name) for name in roles)
    if not subtotal or tax is None:
        return Check(name="gst_rate", outcome="not_applicable", detail="subtotal or tax not read")
    said = f"tax {tax} is {tax / subtotal:.2%} of the subtotal {subtotal}"
    included = total is not None and equal(subtotal, total) and is_gst_of(subtotal - tax, tax)
    if is_gst_of(subtotal, tax) or included:
        return Check(name="gst_rate", outcome="pass", detail=said)
    # tax on a delivery that stands outside the subtotal is in the total all the same
    bases = [subtotal, *([] if total is None else [total - tax])]
    if _is_australian(fields) and all(exceeds_gst_of(base, tax) for base in bases):
        return Check(name="gst_rate", outcome="fail", detail=f"{said}; GST is at most 10 %")
    return Check(name="gst_rate", outcome="not_applicable", detail=f"{said}; another rate, or not all of it taxed")


def _is_australian(fields: Fields) -> bool:
    currency, number = (fields.get(name) for name in ("currency", "business_abn"))
    if currency is not None and currency.present and currency.value:
        return currency.value.upper() == "AUD"
    checks = identifier_checks("business_abn", number.value) if number and number.present and number.value else ()
    return any(c.name == "abn_checksum" and c.outcome == "pass" for c in checks)


def _date_order(fields: Fields) -> Check:
    issued, due = (_day(fields, name) for name in ("invoice_date", "due_date"))
    if issued is None or due is None:
        return Check(name="date_order", outcome="not_applicable", detail="one of the dates was not read")
    return _check("date_order", due >= issued, f"due {due} against issued {issued}")


def _plausible(name: str, value: str, today: dt.date | None) -> Check:
    try:
        day = dt.date.fromisoformat(value)
    except ValueError:
        return Check(name="date_plausible", outcome="fail", detail=f"{value!r} is no calendar day")
    if not 1990 <= day.year <= 2100:
        return Check(name="date_plausible", outcome="fail", detail=f"{value} lies outside 1990 to 2100")
    limit = _FUTURE_DAYS.get(name, 31)
    if today is not None and (day - today).days > limit:
        return Check(name="date_plausible", outcome="fail", detail=f"{value} lies more than {limit} days after {today}")
    return Check(name="date_plausible", outcome="pass", detail=value)


def _plausible_period(name: str, value: str, today: dt.date | None) -> tuple[Check, ...]:
    first, _, last = value.partition("/")
    days = [_plausible(name, day, today) for day in (first, last)]
    worst = next((day for day in days if day.outcome == "fail"), None)
    if worst is not None:
        return (worst,)
    plausible = Check(name="date_plausible", outcome="pass", detail=value)
    return (plausible, _check("date_order", first <= last, f"from {first} to {last}"))


def _line_sum(rows: Sequence[Mapping[str, Cell]], fields: Fields) -> bool | None:
    totals = [_cell(row, *_LINE_TOTALS) for row in rows]
    targets = [a for n in (*SUBTOTALS, *TOTALS) if (a := _amount(fields, n)) is not None]
    if not targets or not totals or any(t is None for t in totals):
        return None
    lines = sum((t for t in totals if t is not None), _ZERO)
    return any(equal(lines, target) or total_holds(lines, _ZERO, target) for target in targets)


def _balance_sum(rows: Sequence[Mapping[str, Cell]], fields: Fields) -> bool | None:
    opening, closing = _amount(fields, "opening_balance"), _amount(fields, "closing_balance")
    if opening is None or closing is None or not rows:
        return None
    return equal(opening + sum((movement for movement, _ in _movements(rows)), _ZERO), closing)


def _movements(rows: Sequence[Mapping[str, Cell]]) -> list[tuple[Decimal, Decimal | None]]:
    return [
        (abs(_cell(row, "credit") or _ZERO) - abs(_cell(row, "debit") or _ZERO), _cell(row, "balance")) for row in rows
    ]


def _row_product(row: Mapping[str, Cell]) -> bool | None:
    quantity, price, total = _cell(row, "quantity"), _cell(row, "unit_price"), _cell(row, *_LINE_TOTALS)
    return None if quantity is None or price is None or total is None else product_holds(quantity, price, total)


def _cell(row: Mapping[str, Cell], *names: str) -> Decimal | None:
    return next((d for n in names if n in row and (d := decimal_of(row[n].value)) is not None), None)


def _amount(fields: Fields, name: str) -> Decimal | None:
    field = fields.get(name)
    return decimal_of(field.value) if field is not None and field.present else None


def _day(fields: Fields, name: str) -> dt.date | None:
    field = fields.get(name)
    try:
        return dt.date.fromisoformat(field.value) if field is not None and field.present and field.value else None
    except ValueError:
        return None


def _counted(name: str, holds: int, tested: int) -> Check:
    if not tested:
        return Check(name=name, outcome="not_applicable", detail=f"{_MEANING[name]}: numbers missing")
    return _check(name, holds == tested, f"{_MEANING[name]}: {holds} of {tested}")


def _check(name: str, holds: bool, detail: str) -> Check:
    return Check(name=name, outcome="pass" if holds else "fail", detail=detail)
