"""Raw text of a field -> its normal form by kind. Knows kinds, not schemas, pages or models.

`find_dates`, `find_amounts` and `find_currency` come from `router.dates` and `router.amounts`; use them from here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from router.amounts import find_amounts, find_currency, parse_amount
from router.booleans import parse_boolean
from router.dates import find_dates, parse_date
from router.periods import parse_period
from router.printable import printed
from router.types import FieldKind

__all__ = ["Normalised", "find_amounts", "find_currency", "find_dates", "fold", "normalise"]


@dataclass(frozen=True)
class Normalised:
    """`value` None: the text is no value of that kind. `ambiguous`: another reading of the same text is as good."""

    value: str | None
    ambiguous: bool = False


def normalise(kind: FieldKind, raw: str, day_first: bool = True, values: Sequence[str] = ()) -> Normalised:
    """Return the normal form of a field's raw text; never raises, and a normal form is its own normal form.

    date: ISO 8601; period: ISO 8601 interval of two days; amount: decimal string with a point and at least two
    decimals; boolean: "true" or "false"; enum: one of `values`; identifier and text: NFC Unicode, trimmed, white space
    collapsed; table: None, its cells count singly.
    """
    if kind == "date":
        date = parse_date(raw, day_first)
        return Normalised(*date) if date else Normalised(None)
    if kind == "period":
        period = parse_period(raw, day_first)
        return Normalised(*period) if period else Normalised(None)
    if kind == "amount":
        amount = parse_amount(raw)
        return Normalised(*amount) if amount else Normalised(None)
    if kind == "table":
        return Normalised(None)
    text = clean(raw)
    if kind == "boolean":
        return Normalised(parse_boolean(text))
    if kind == "enum" and values:
        return _enum(text, values)
    return Normalised(text or None)


def clean(raw: str) -> str:
    """Return NFC text with white space collapsed and invisible characters removed."""
    return " ".join(unicodedata.normalize("NFC", printed(raw)).split())


def fold(text: str) -> str:
    """Return letters and digits only, in lower case and without accents: what two readings of one text share."""
    if text.isascii():
        return "".join(c for c in text.lower() if c.isalnum())
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if c.isalnum())


def _enum(text: str, values: Sequence[str]) -> Normalised:
    wanted = fold(text)
    exact = [v for v in values if fold(v) == wanted]
    if exact:
        return Normalised(text if text in exact else exact[0])
    inside = [
        v
        for v in values
        if fold(v) and re.search(rf"(?<!\w){re.escape(v.replace('_', ' '))}(?!\w)", text, re.IGNORECASE)
    ]
    if not inside:
        return Normalised(None)
    longest = max(inside, key=len)
    return Normalised(longest, any(v.lower() not in longest.lower() for v in inside))
