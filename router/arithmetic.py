"""Sums and products that amounts of one document must satisfy. Knows decimals only: no field, page or lane.

Tolerance is one cent. A total that is a multiple of five cents may be off by two, because cash totals are rounded so.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

CENT = Decimal("0.01")
_CASH_STEP = Decimal("0.05")
_CASH_ROUNDING = Decimal("0.02")


def decimal_of(text: str | None) -> Decimal | None:
    """Return a normalised amount as a finite decimal, or None."""
    try:
        value = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def equal(a: Decimal, b: Decimal, tolerance: Decimal = CENT) -> bool:
    """Return whether two amounts differ by no more than the tolerance."""
    return abs(a - b) <= tolerance


def total_holds(subtotal: Decimal, tax: Decimal, total: Decimal) -> bool:
    """Return whether subtotal + tax = total, cash rounding of the total allowed."""
    return equal(subtotal + tax, total, _CASH_ROUNDING if total % _CASH_STEP == 0 else CENT)


def product_holds(quantity: Decimal, unit_price: Decimal, line_total: Decimal) -> bool:
    """Return whether quantity x unit price = line total."""
    return equal(quantity * unit_price, line_total)


def balances_hold(opening: Decimal | None, rows: Sequence[tuple[Decimal, Decimal | None]]) -> list[bool]:
    """Return for each (movement, printed balance) whether the balance follows from the one before it.

    Rows without a printed balance add up until the next one that has it; without `opening` the first proves nothing.
    """
    outcomes: list[bool] = []
    balance = opening
    for movement, printed in rows:
        expected = None if balance is None else balance + movement
        if printed is not None and expected is not None:
            outcomes.append(equal(expected, printed))
        balance = printed if printed is not None else expected
    return outcomes


def is_gst_of(base: Decimal, tax: Decimal) -> bool:
    """Return whether a tax is Australia's GST, a tenth of its base."""
    return abs(tax - base / 10) <= _gst_tolerance(base)


def exceeds_gst_of(base: Decimal, tax: Decimal) -> bool:
    """Return whether a tax is more than the GST of its base can be."""
    return abs(tax) > abs(base) / 10 + _gst_tolerance(base)


def _gst_tolerance(base: Decimal) -> Decimal:
    # a cent where the sum is rounded once; half a percent of the tax where every line was rounded by itself
    return max(Decimal("0.01"), abs(base) / 10 * Decimal("0.005"))
