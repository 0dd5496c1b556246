"""Which rows of a table are none of its own: sums, payments, balances, headings. Knows wording, not forms."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backends.answers.names import plain
from backends.answers.other_names import BALANCE_ROWS, PAID_ROWS, SUM_ROWS
from backends.answers.values import spoken

_RATE = re.compile(
    r"\([^()]{0,40}\)|(?:\bat |@ ?)?\d{1,3}(?:[.,]\d{1,2})? ?%|[$€£]|"
    r"\b(?:AUD|USD|EUR|GBP|NZD|CAD|SGD|MYR|CHF|JPY|INR|HKD)\b"
)
"""What stands in the label of a sum beside its words: a rate, a currency."""
_OF = (
    r"(?: (?:of|for|all|the|items?|goods|services|parts|labou?r|discounts?|lines?|rows?|products?|charges?|amounts?|"
    r"page|this|due|payable|to|pay|before|after|incl|including|includes|excl|excluding|inc|ex|tax|gst|vat|in|price|owing|\d+))*"
)
_WORDING = re.compile(
    rf"(?:grand |net |gross |invoice |order |sub |overall |final )?(?:total|sum|subtotal)s?{_OF}"
    r"|(?:plus |add |incl |including |includes |sales |state )?(?:gst|vat|tax|hst|pst|qst|mwst|ust)"
    r"(?: (?:at|of|on|amount|total|included|payable|component|inclusive|\d+))*"
)
_LAST = re.compile(r"\b(?:sub ?)?totals?(?: at (?:the )?end of page)?$")
_PLAIN_SUMS = frozenset({"total", "totals", "grand total", "subtotal", "sub total"})


def is_no_row(table: str, cells: Mapping[str, str], label: str) -> bool:
    """Return whether a row that begins with `label` and has these cells is no item and no movement."""
    shown = label.strip()
    if set(cells) == {"description"} and (shown.startswith(("**", "__")) or shown.endswith(":")):
        return True  # the heading of the rows below it
    if table in ("line_items", "transactions") and len(cells) == 1 and "description" not in cells:
        return True  # a figure or a day alone
    if table == "transactions" and not {"description", "debit", "credit"} & set(cells):
        return True  # a balance of a day
    said = _wording(shown)
    is_sum = _is_sum(said)
    if table == "transactions":
        is_balance = said in BALANCE_ROWS or plain(cells.get("description", "")) in BALANCE_ROWS
        # a movement goes one way; a sum of both ways may have a day before its name, or its name in the day's column
        unnamed = not {"date", "description"} & set(cells)
        both_ways = {"debit", "credit"} <= set(cells) and (unnamed or _is_sum(_wording(cells.get("description", ""))))
        return (is_balance and not {"debit", "credit"} & set(cells)) or (is_sum and "date" not in cells) or both_ways
    if said in _PLAIN_SUMS and "unit_price" not in cells:
        return True  # its quantity is the count of the items
    # only an item's quantity tells it from a sum of the same name, and its price from a payment
    is_paid = said in PAID_ROWS and not {"unit_price", "total_price"} <= set(cells)
    is_carried = said in BALANCE_ROWS and "unit_price" not in cells
    return "quantity" not in cells and (is_sum or is_paid or is_carried)


def _wording(label: str) -> str:
    return plain(_RATE.sub(" ", spoken(label).strip(" *_`:")).casefold()).rstrip(" :=").removesuffix(" in")


def _is_sum(said: str) -> bool:
    return said in SUM_ROWS or _WORDING.fullmatch(said) is not None or _LAST.search(said) is not None
