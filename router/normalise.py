"""Raw text of a field -> its normal form by kind. Knows kinds, not schemas, pages or models.

`find_dates`, `find_amounts` and `find_currency` come from `router.dates` and `router.amounts`; use them from here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from router.amounts import find_amounts, find_currency, parse_amount
from router.dates import find_dates, parse_date
from router.types import FieldKind

__all__ = ["Normalised", "find_amounts", "find_currency", "find_dates", "fold", "normalise"]

_YES_WORDS = "yes y true 1 x ✓ ✔ oui ja si ya benar vrai wahr vero verdadero included incl inkl inclus inclusive"
_NO_WORDS = "no n false 0 non nein nee tidak faux falsch falso exclusive excluded excl none"
_YES, _NO = frozenset(_YES_WORDS.split()), frozenset(_NO_WORDS.split())
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


@dataclass(frozen=True)
class Normalised:
    """`value` None: the text is no value of that kind. `ambiguous`: another reading of the same text is as good."""

    value: str | None
    ambiguous: bool = False


def normalise(kind: FieldKind, raw: str, day_first: bool = True, values: Sequence[str] = ()) -> Normalised:
    """Return the normal form of a field's raw text; never raises, and a normal form is its own normal form.

    date: ISO 8601; amount: decimal string with a point and at least two decimals; boolean: "true" or "false"; enum: one
    of `values`; identifier and text: NFC Unicode, trimmed, white space collapsed; table: None, its cells count singly.
    """
    if kind == "date":
        date = parse_date(raw, day_first)
        return Normalised(*date) if date else Normalised(None)
    if kind == "amount":
        amount = parse_amount(raw)
        return Normalised(*amount) if amount else Normalised(None)
    if kind == "table":
        return Normalised(None)
    text = clean(raw)
    if kind == "boolean":
        return Normalised(_boolean(text))
    if kind == "enum" and values:
        return _enum(text, values)
    return Normalised(text or None)


def clean(raw: str) -> str:
    """Return NFC text with white space collapsed and invisible characters removed."""
    visible = "".join(c for c in raw if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    return " ".join(unicodedata.normalize("NFC", visible).split())


def fold(text: str) -> str:
    """Return letters and digits only, in lower case and without accents: what two readings of one text share."""
    if text.isascii():
        return "".join(c for c in text.lower() if c.isalnum())
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if c.isalnum())


def _boolean(text: str) -> str | None:
    words = re.findall(
        r"\w+|[✓✔]", unicodedata.normalize("NFKD", text.lower()).replace("\u0301", "").replace("\u0300", "")
    )
    said = {"true" if w in _YES else "false" for w in words if w in _YES or w in _NO}
    return said.pop() if len(said) == 1 else None


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
