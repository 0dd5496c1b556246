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
    r"(?: (?:of|for|all|the|items?|goods|services|parts|labou?r|lines?|rows?|products?|charges?|amounts?|page|this|due|"
    r"payable|to|pay|before|after|incl|including|includes|excl|excluding|inc|ex|tax|gst|vat|in|price|owing|\d+))*"
)
_WORDING = re.compile(
    rf"(?:grand |net |gross |invoice |order |sub |overall |final )?(?:total|sum|subtotal)s?{_OF}"
    r"|(?:plus |add |incl |including |includes |sales |state )?(?:gst|vat|tax|hst|pst|qst|mwst|ust)"
    r"(?: (?:at|of|on|amount|total|included|payable|component|inclusive|\d+))*"
)


def is_no_row(table: str, cells: Mapping[str, str], label: str) -> bool:
    """Return whether a row that begins with `label` and has these cells is no item and no movement."""
    shown = label.strip()
    if set(cells) == {"description"} and (shown.startswith(("**", "__")) or shown.endswith(":")):
        return True  # the heading of the rows below it
    if table in ("line_items", "transactions") and len(cells) == 1 and "description" not in cells:
        return True  # a figure or a day alone
    said = plain(_RATE.sub(" ", spoken(shown).strip(" *_`:")).casefold()).rstrip(" :=")
    is_sum = said in SUM_ROWS or _WORDING.fullmatch(said) is not None
    if table == "transactions":
        is_balance = said in BALANCE_ROWS or plain(cells.get("description", "")) in BALANCE_ROWS
        return (is_balance and not {"debit", "credit"} & set(cells)) or (is_sum and "date" not in cells)
    # only an item's quantity tells it from a sum of the same name, and its price from a payment
    is_paid = said in PAID_ROWS and not {"unit_price", "total_price"} <= set(cells)
    is_carried = said in BALANCE_ROWS and "unit_price" not in cells
    return "quantity" not in cells and (is_sum or is_paid or is_carried)
