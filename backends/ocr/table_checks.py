"""Arithmetic of a table: which column is what, and which rows hold. Knows numbers by column, not places or words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import permutations

from router.arithmetic import CENT, equal, product_holds

PRODUCT = ("quantity", "unit_price", "total_price")
_MAX_COLUMNS = 8
_ENOUGH = 0.6

Values = Mapping[int, Decimal]
"""One line's numbers by column index."""


def line_holds(quantity: Decimal, unit_price: Decimal, total: Decimal, others: Sequence[Decimal] = ()) -> bool:
    """Return whether quantity x unit price = total, also with one further number as percentage or sum on top or off."""
    if product_holds(quantity, unit_price, total):
        return True
    net = quantity * unit_price
    if not net or not total:
        return False
    rates = [s * r / 100 for r in others if 0 < r < 100 for s in (1, -1)]
    return any(equal(net * (1 + rate), total) for rate in rates) or any(
        r and (equal(net - r, total) or equal(net + r, total)) for r in others
    )


def assign_product(lines: Sequence[Values], named: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the column index of quantity, unit price and total price, those that can be told.

    `named` holds the columns that the heading gives each name to. They stand unless quantity x unit price = total price
    fails in most lines and holds for another choice of columns, by which a missing name may be found as well.
    """
    default = {role: named[role][0] for role in PRODUCT if named.get(role)}
    columns = sorted({c for line in lines for c in line})[:_MAX_COLUMNS]
    best: tuple[float, int, dict[str, int]] = (0.0, 0, default)
    for chosen in permutations(columns, 3):
        roles = dict(zip(PRODUCT, chosen, strict=True))
        full = [line for line in lines if all(c in line for c in chosen)]
        holding = [line for line in full if product_holds(*(line[c] for c in chosen))]
        telling = sum(line[chosen[0]] != 1 and line[chosen[1]] != 1 for line in holding)
        kept = sum(chosen[i] in named.get(role, ()) for i, role in enumerate(PRODUCT))
        if not holding or len(holding) < _ENOUGH * len(full) or (kept < 2 and telling < 1):
            continue
        rank = (
            len(holding) if telling or kept == 3 else 0.5 * len(holding),
            kept * 2 + _looks_right(full, chosen),
            roles,
        )
        if rank[:2] > best[:2]:
            best = rank
    return best[2]


def _looks_right(lines: Sequence[Values], chosen: tuple[int, ...]) -> int:
    """A quantity is whole more often than a price, and a total stands right of what it is made of."""
    whole = [sum(line[c] % 1 == 0 for line in lines) for c in chosen]
    return (whole[0] > whole[1]) - (whole[0] < whole[1]) + (chosen[2] > max(chosen[:2]))


Movement = dict[str, Decimal]
"""One transaction's printed numbers: debit, credit, balance."""


def settle_movements(rows: Sequence[Movement], opening: Decimal | None) -> tuple[list[Movement], list[bool | None]]:
    """Return the rows with debit and credit put right by the balance, and whether each row's balance follows.

    previous balance + credit - debit = balance; None where a balance is missing. Statements that list the newest row
    first are checked upwards.
    """
    down = _settle(rows, opening)
    settled, checks = _settle(list(reversed(rows)), None)
    up = (settled[::-1], checks[::-1])
    return up if sum(c is True for c in up[1]) > sum(c is True for c in down[1]) else down


def _settle(rows: Sequence[Movement], opening: Decimal | None) -> tuple[list[Movement], list[bool | None]]:
    settled: list[Movement] = []
    checks: list[bool | None] = []
    balance, pending = opening, Decimal(0)
    for row in rows:
        change = None if balance is None or "balance" not in row else row["balance"] - balance - pending
        row, check = _settle_row(row, change)
        settled.append(row)
        checks.append(check)
        pending += abs(row.get("credit", Decimal(0))) - abs(row.get("debit", Decimal(0)))
        if "balance" in row:
            balance, pending = row["balance"], Decimal(0)
    return settled, checks


def _settle_row(row: Movement, change: Decimal | None) -> tuple[Movement, bool | None]:
    debit, credit = row.get("debit"), row.get("credit")
    if change is None or (debit is None and credit is None):
        return row, None
    printed = abs(credit or Decimal(0)) - abs(debit or Decimal(0))
    if equal(printed, change):
        return row, True
    if equal(-printed, change) and abs(change) > CENT:
        swapped = {k: v for k, v in row.items() if k == "balance"}
        swapped |= {"credit": abs(debit)} if debit is not None else {}
        swapped |= {"debit": abs(credit)} if credit is not None else {}
        return swapped, True
    return row, False
