"""Amounts and currencies in printed text. Knows text only: no page and no field.

Separators, in order of evidence: with two kinds the last one is the decimal mark ("1.234,56"); several of one kind
group thousands ("1.234.567"), except that a last group of two digits is decimal ("1,234,56", a misread mark); a
single comma before exactly three digits groups ("1,234"), a single point never does ("1.234" is 1.234 and marked
ambiguous), because receipts print quantities and prices with three decimals far more often than whole thousands
with a point.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

AmountSpan = tuple[int, int, str, bool, int]
"""Start and end in the text, decimal string, whether a currency stands beside it, number of printed decimals."""

_MAX_DIGITS = 18
_SYMBOLS = {
    "€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₺": "TRY", "₱": "PHP", "฿": "THB",
    "₫": "VND",
    "A$": "AUD", "AU$": "AUD", "S$": "SGD", "NZ$": "NZD", "HK$": "HKD", "C$": "CAD", "CA$": "CAD", "US$": "USD",
    "R$": "BRL",
}  # fmt: skip
# "SR" is left out: beside an amount it is a tax code (standard rate) far more often than the riyal
_BESIDE_A_NUMBER = {
    "Rp": "IDR", "Rs": "INR", "Rs.": "INR", "kr": "SEK", "zł": "PLN", "Kč": "CZK", "Fr.": "CHF",
    "SEK": "SEK", "TRY": "TRY", "CAD": "CAD", "BAHT": "THB", "DHS": "AED",
}  # fmt: skip
# words and abbreviations too, so a whole number beside them is no amount: "TRY 2", "SEK 15" (a district)
_DOUBTFUL = frozenset({"TRY", "SEK", "CAD", "FR."})
_SAFE_CODES = (
    "EUR USD GBP MYR SGD AUD INR JPY CHF NZD HKD SAR AED THB PHP IDR NOK DKK "
    "PLN CZK BRL ZAR MXN CNY KRW TWD VND HUF RON"
)
_WORDS = {
    "RM": "MYR", "EURO": "EUR", "EUROS": "EUR", "RINGGIT": "MYR", "RUPEES": "INR", "STERLING": "GBP",
} | {code: code for code in _SAFE_CODES.split()}  # fmt: skip
_ISO = _SYMBOLS | _BESIDE_A_NUMBER | _WORDS | {k.upper(): v for k, v in _BESIDE_A_NUMBER.items()}


def _alternatives(names: object) -> str:
    return "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))  # type: ignore[call-overload]


_SIGN = _alternatives(_SYMBOLS)
_CURRENCY = rf"(?:{_SIGN}|(?<![A-Za-z])(?i:{_alternatives(_BESIDE_A_NUMBER | _WORDS)})(?![A-Za-z]))"
_GAP = "\u00a0\u202f\u2009"
_NUMBER = rf"[0-9]{{1,3}}(?:[ {_GAP}][0-9]{{3}})+,[0-9]{{2}}(?![0-9])|[0-9]+(?:[.,'’{_GAP}][0-9]+)*"
_AMOUNT = re.compile(
    rf"(?P<open>\()?[ ]?(?P<minus>(?<![\w.,)])[-−–](?=[^ ]))?(?P<before>{_CURRENCY})?[).:]?[ {_GAP}]{{0,2}}"
    rf"(?P<minus2>(?<![\w.,)])[-−–])?"
    rf"(?<![0-9])(?<![0-9][.,])(?P<number>{_NUMBER})"
    rf"(?P<after_minus>[-−](?![\w]))?(?:[ {_GAP}]{{0,2}}(?P<after>{_CURRENCY}))?(?P<close>[ ]?\))?"
)
_PLAIN_GROUPS = re.compile(r"[0-9]{1,3}(?P<s>[.,])[0-9]{3}(?:(?P=s)[0-9]{3})*")
_INDIAN_GROUPS = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_GAP_GROUPS = re.compile(rf"[0-9]{{1,3}}(?:(?P<s>['’ {_GAP}])[0-9]{{3}})(?:(?P=s)[0-9]{{3}})*(?:[.,][0-9]{{1,4}})?")
_LETTER_O = re.compile(
    r"(?<=[0-9][.,])[oO]{2}(?!\w)|(?<=[0-9][.,][0-9])[oO](?!\w)"
    r"|(?<=[0-9])[oO](?=[.,]?[0-9oO])|(?<=[0-9][.,])[oO](?=[0-9])"
)
_JOINED_BEFORE = re.compile(r"[\w/:#.\-]$")
_JOINED_AFTER = re.compile(r"[/:\-]?\w|[ ]?%")
_LOOSE_MARK = re.compile(r"(?<=[0-9]) ?([.,]) ?(?=[0-9]{2}(?![0-9]))")
_STANDALONE = re.compile(rf"{_SIGN}|(?<![A-Za-z])(?:{_alternatives(_WORDS)})(?![A-Za-z])", re.IGNORECASE)


def find_amounts(text: str) -> list[AmountSpan]:
    """Return the numbers of a text that may be amounts or quantities, in reading order.

    Left out: percentages, and whole numbers that are a part of something longer (a date, a time, a code). A blank
    groups thousands only before a decimal comma ("1 234,56"), because otherwise it separates columns.
    """
    if not any(c.isdigit() for c in text):
        return []
    found: list[AmountSpan] = []
    for match in _AMOUNT.finditer(_LETTER_O.sub(lambda m: "0" * len(m[0]), text)):
        parsed = parse_number(match["number"])
        if parsed is None:
            continue
        value, decimals, _ = parsed
        currency = bool(_currencies(match))
        if _part_of_more(text, match, currency, decimals):
            continue
        start = _start(match)
        found.append((start, _end(match), format_decimal(-value if _negative(match) else value), currency, decimals))
    return found


def parse_amount(raw: str) -> tuple[str, bool] | None:
    """Return (decimal string, ambiguous) of a text that is an amount, or None.

    Of several numbers the one beside a currency counts, else the last one with decimals, else the last.
    """
    text = _LOOSE_MARK.sub(r"\1", " ".join(raw.split()))
    text = re.sub(r"^([-−–]) ", r"\1", text)
    spans = find_amounts(re.sub(r"(?<=[0-9]) (?=[0-9]{3}(?:[ .,]|$))", "\u202f", text))
    if not spans:
        return None
    _, _, value, _, decimals = max(enumerate(spans), key=lambda s: (s[1][3], s[1][4] > 0, s[0]))[1]
    return value, decimals == 3 and "," not in text


def parse_number(number: str) -> tuple[Decimal, int, bool] | None:
    """Return (value, printed decimals, grouped) of digits with separators; None where the groups fit no convention."""
    if sum(c.isdigit() for c in number) > _MAX_DIGITS:
        return None
    if re.search(rf"['’ {_GAP}]", number):
        if not _GAP_GROUPS.fullmatch(number):
            return None
        number = re.sub(rf"['’ {_GAP}]", "", number)
        head, _, tail = number.replace(",", ".").partition(".")
        return Decimal(f"{head}.{tail or 0}"), len(tail), True
    points, commas = number.count("."), number.count(",")
    if not points and not commas:
        return Decimal(number), 0, False
    mark = "." if number.rfind(".") > number.rfind(",") else ","
    head, _, tail = number.rpartition(mark)
    if points and commas:
        return _grouped(head, tail) if mark not in head else None
    if points + commas > 1:
        if _PLAIN_GROUPS.fullmatch(number) or _INDIAN_GROUPS.fullmatch(number):
            return Decimal(number.replace(mark, "")), 0, True
        return _grouped(head, tail) if len(tail) == 2 else None
    if mark == "," and len(tail) == 3 and 1 <= len(head) <= 3 and head.lstrip("0"):
        return Decimal(head + tail), 0, True
    return Decimal(f"{head}.{tail}"), len(tail), False


def format_decimal(value: Decimal) -> str:
    """Return a decimal string with at least two decimals and no zeros after them."""
    text = f"{value:f}"
    head, _, tail = text.partition(".")
    tail = tail.rstrip("0").ljust(2, "0")
    zero = not (head.strip("-0") or tail.strip("0"))
    return f"{'0' if zero else head}.{tail}"


def find_currency(text: str) -> str | None:
    """Return the ISO 4217 code a text names most often, or None; a bare "$" means USD where nothing else is named."""
    codes: Counter[str] = Counter()
    for match in _STANDALONE.finditer(text):
        codes[_code(match[0])] += 1 if match[0] != "$" else 0
    for match in _AMOUNT.finditer(text):
        for token in _currencies(match):
            codes[_code(token)] += 1 if token != "$" else 0
    if not codes:
        return None
    best = codes.most_common(1)[0]
    return best[0] if best[1] else "USD"


def _currencies(match: re.Match[str]) -> list[str]:
    tokens = [t for t in (match["before"], match["after"]) if t]
    plain = match["number"].isdigit()
    return [t for t in tokens if not (plain and t.upper() in _DOUBTFUL)]


def _grouped(head: str, tail: str) -> tuple[Decimal, int, bool] | None:
    if not (_PLAIN_GROUPS.fullmatch(head) or _INDIAN_GROUPS.fullmatch(head)):
        return None
    return Decimal(f"{re.sub('[.,]', '', head)}.{tail}"), len(tail), True


def _code(token: str) -> str:
    return _ISO.get(token) or _ISO[token.upper()]


def _negative(match: re.Match[str]) -> bool:
    return bool(match["minus"] or match["minus2"] or match["after_minus"] or (match["open"] and match["close"]))


def _start(match: re.Match[str]) -> int:
    names = ("minus", "before", "minus2", "number")
    if match["open"] and match["close"]:
        return match.start("open")
    return min(match.start(n) for n in names if match[n])


def _end(match: re.Match[str]) -> int:
    if match["open"] and match["close"]:
        return match.end("close")
    return max(match.end(n) for n in ("number", "after_minus", "after") if match[n])


def _part_of_more(text: str, match: re.Match[str], currency: bool, decimals: int) -> bool:
    after = text[match.end("number") : match.end("number") + 2]
    if after.lstrip().startswith("%") or (len(after) > 1 and after[0] in ".,:/" and after[1].isdigit()):
        return True
    if currency:
        return False
    before = text[max(match.start("number") - 1, 0) : match.start("number")]
    if decimals >= 2:
        return before in ("/", "#") or after[:1] == "/"
    return bool(_JOINED_BEFORE.search(before) and not _negative(match)) or bool(
        _JOINED_AFTER.match(after) and not match["after_minus"]
    )
