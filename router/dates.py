"""Dates in printed text -> ISO 8601. Knows text only: no page, field or clock.

Month names in English, French, German, Dutch, Spanish, Italian and Malay, with and without accents and
abbreviated. Years run from 1990 to 2100; two digits mean 1990 to 2089.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from functools import lru_cache

DateSpan = tuple[int, int, str, bool]
"""Start and end in the text, ISO 8601 day, and whether day and month could be exchanged."""

_MONTHS = (
    "january jan januar janvier janv januari enero ene gennaio genn gen",
    "february feb febr februar fevrier fevr fev februari febrero febbraio febb",
    "march mar marz mars maart mrt marzo mac maerz mrz",
    "april apr avril avr abril abr aprile",
    "may mai mei mayo maggio mag",
    "june jun juni juin junio giugno giu",
    "july jul juli juillet juil julio luglio lug julai",
    "august aug aout augustus agosto ago ogos",
    "september sept sep septembre septiembre setiembre settembre sett set",
    "october oct okt oktober octobre octubre ottobre ott 0ct",
    "november nov novembre noviembre n0v",
    "december dec dez dezember decembre diciembre dic dicembre disember dis d3c",
)
MONTH_NUMBER = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_MONTH = "(?P<month>" + "|".join(sorted(MONTH_NUMBER, key=len, reverse=True)) + r")(?![a-z])\.?"
_YEAR = r"(?P<year>199[0-9]|20[0-9]{2}|2100)"
# OCR loses the blank between a year and the time after it: "25/12/20188:13:39"
_NO_TIME = r"(?:(?![0-9:])|(?=[0-9]{1,2}:[0-9]{2}))"
_YEAR_2_OR_4 = rf"(?:{_YEAR}{_NO_TIME}|(?P<yy>[0-9]{{2}}){_NO_TIME}(?![/.][0-9]))"
_FREE = r"(?<![0-9])(?<![0-9][-/.])"
_SEP = r"[ ]{0,2}[-/.][ ]{0,2}"
_OF = r"(?:de[l]?|of|di)?"

_PATTERNS = tuple(
    re.compile(p)
    for p in (
        rf"{_FREE}{_YEAR}{_SEP}(?P<m>[0-9]{{1,2}}){_SEP}(?P<d>[0-9]{{1,2}}){_NO_TIME}",
        rf"{_FREE}(?P<a>[0-9]{{1,2}}){_SEP}(?P<b>[0-9]{{1,2}}){_SEP}{_YEAR_2_OR_4}",
        rf"{_FREE}(?P<a>[0-3][0-9])[ ](?P<b>[01][0-9])[ ]{_YEAR}{_NO_TIME}",
        r"(?<![0-9])(?P<year>199[0-9]|20[0-9]{2})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12][0-9]|3[01])(?![0-9])",
        r"(?<![0-9])(?P<a>[0-3][0-9])(?P<b>[0-3][0-9])(?P<year>199[0-9]|20[0-9]{2})(?![0-9])",
        rf"(?<![0-9])(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th|er|e|°|º|\.)?[ ,./-]{{0,3}}{_OF}[ ]{{0,2}}"
        rf"{_MONTH}[ ,./'’-]{{0,3}}{_OF}[ ]{{0,2}}{_YEAR_2_OR_4}",
        rf"(?<![a-z]){_MONTH}[ .-]{{0,2}}(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?[ ,./'’-]{{1,3}}{_YEAR_2_OR_4}",
        rf"{_FREE}{_YEAR}[ ,./-]{{0,3}}{_MONTH}[ ,./-]{{0,3}}(?P<d>[0-9]{{1,2}})(?![0-9])",
    )
)
_SPLIT_DAY = re.compile(r"([0-3])[ ]([0-9])(?=[ ]?[-/.][ ]?[0-9])")
_LETTER_O = re.compile(r"(?<=[0-9][-/.])o(?=[0-9])|(?<=[0-9])o(?=[-/.0-9])|(?<![a-z0-9])o(?=[1-9][-/.][0-9])")


def find_dates(text: str, day_first: bool = True) -> list[DateSpan]:
    """Return the dates in a text in reading order, none overlapping another.

    Day first unless the year comes first; a month above 12 proves that it is the day. "1 6/05/2016" is the 6th here,
    because the 1 may belong to what stands before it.
    """
    if sum(c.isdigit() for c in text) < 3:
        return []
    folded = _LETTER_O.sub("0", fold_letters(text))
    spans: list[DateSpan] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(folded):
            found = _resolve(match.groupdict(), day_first)
            if found and all(match.end() <= s or match.start() >= e for s, e, _, _ in spans):
                spans.append((match.start(), match.end(), *found))
    return sorted(spans)


def parse_date(raw: str, day_first: bool = True) -> tuple[str, bool] | None:
    """Return (ISO 8601 day, ambiguous) of a text that is a date, or None; of several dates the first counts.

    A day torn apart at the start of the text, as in "1 6/05/2016", is joined and stays ambiguous.
    """
    text = " ".join(unicodedata.normalize("NFC", raw).split())
    torn = _SPLIT_DAY.match(text)
    if torn and (found := find_dates(text[:1] + text[2:], day_first)):
        return found[0][2], True
    spans = find_dates(text, day_first)
    return spans[0][2:] if spans else None


def _resolve(groups: dict[str, str | None], day_first: bool) -> tuple[str, bool] | None:
    year = int(groups.get("year") or 0) or century(int(groups.get("yy") or 0))
    if groups.get("a") is not None:
        return _day_month(int(groups["a"] or 0), int(groups["b"] or 0), year, day_first)
    day = int(groups["d"] or 0)
    name = groups.get("month")
    month = MONTH_NUMBER[name] if name else int(groups["m"] or 0)
    if month > 12:  # some print the year, then day and month
        day, month = month, day
    iso = _iso(year, month, day)
    return (iso, False) if iso else None


def _day_month(first: int, second: int, year: int, day_first: bool) -> tuple[str, bool] | None:
    day, month = (first, second) if day_first else (second, first)
    if month > 12:
        day, month = month, day
    iso = _iso(year, month, day)
    return (iso, day <= 12 and day != month) if iso else None


def century(two_digits: int) -> int:
    """Return the year that two digits mean, 1990 to 2089."""
    return two_digits + (1900 if two_digits >= 90 else 2000)


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return dt.date(year, month, day).isoformat()
    except ValueError:
        return None


def fold_letters(text: str) -> str:
    """Lower case without accents, one character for one so that positions stay true."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    if lowered.isascii():
        return lowered.replace("\t", " ").replace("\n", " ")
    return "".join(c if c.isascii() else _base(c) for c in lowered).replace("\t", " ").replace("\n", " ")


@lru_cache(maxsize=2048)
def _base(character: str) -> str:
    if character.isspace():
        return " "
    base = unicodedata.normalize("NFD", character)[0]
    return base if len(base) == 1 else character
