"""Spans of days in printed text -> ISO 8601 intervals. Knows text only: no page, field or clock.

Read are two dates, two dates that share a month or a year ("1-31 July 2024", "28 Dec - 27 Jan 2024"), and whole months
("January 2024", "01/2024 - 03/2024"). A day that names no year lies in the year of the last day, or in the one before
where it would else come after it.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re

from router.dates import MONTH_NUMBER, century, find_dates, fold_letters

_MAX_CHARS = 200
_NAME = "(?:" + "|".join(sorted(MONTH_NUMBER, key=len, reverse=True)) + r")(?![a-z])"
_YEAR = r"(?:199[0-9]|20[0-9]{2}|2100)"
_TO = (
    r"(?:[ ]{0,2}[-–—−~][ ]{0,2}|[ ]{1,2}(?:to|until|till|through|thru|and|bis|bis zum|au|a|al|hasta|hasta el|tot|"
    r"t/m|tot en met|hingga|sampai|fino al|et|e|y)[ ]{1,2}(?:the |den |le |el )?)"
)
_DAY = r"[0-9]{1,2}(?:st|nd|rd|th|er|e|°|º|\.)?"
_GAP, _OF = r"[ ,./'’-]{0,3}", r"(?:(?:de[l]?|of|di) )?"
_NAMED = re.compile(
    rf"(?<![0-9/.-])(?P<d1>{_DAY})(?:{_GAP}{_OF}(?P<m1>{_NAME})\.?)?{_TO}"
    rf"(?P<d2>{_DAY}){_GAP}{_OF}(?P<m2>{_NAME}){_GAP}{_OF}(?P<year>{_YEAR})(?![0-9])"
)
_NAMED_FIRST = re.compile(
    rf"(?<![a-z])(?P<m1>{_NAME})[ .]{{0,2}}(?P<d1>{_DAY}){_TO}"
    rf"(?:(?P<m2>{_NAME})[ .]{{0,2}})?(?P<d2>{_DAY})[ ,]{{1,3}}(?P<year>{_YEAR})(?![0-9])"
)
_NUMBERS = re.compile(
    r"(?<![0-9])(?<![0-9][-/.])(?P<a1>[0-9]{1,2})[/.](?P<b1>[0-9]{1,2})\.?"
    rf"{_TO}(?P<a2>[0-9]{{1,2}})[/.](?P<b2>[0-9]{{1,2}})[/.](?P<year>{_YEAR}|[0-9]{{2}})(?![0-9/.])"
)
_MONTH = re.compile(
    rf"(?<![a-z0-9])(?P<name>{_NAME})\.?(?:{_GAP}{_OF}(?P<named_year>{_YEAR})(?![0-9]))?"
    rf"|(?<![0-9/.-])(?P<number>0?[1-9]|1[0-2])[/.-](?P<year>{_YEAR})(?![0-9/.-])"
    rf"|(?<![0-9/.-])(?P<first_year>{_YEAR})[/-](?P<last_number>0[1-9]|1[0-2])(?![0-9/.-])"
)
_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ?(?:/|-|--|–|—|to) ?([0-9]{4}-[0-9]{2}-[0-9]{2})")
_GLUED = re.compile(r"(?<=[-/. ][0-9]{4})[-/](?=[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{2})")
_GLUED_SHORT = re.compile(
    r"(?<![0-9/.-])([0-9]{1,2}([/.])[0-9]{1,2}\2[0-9]{2})-(?=[0-9]{1,2}\2[0-9]{1,2}\2[0-9]{2}(?![0-9/.-]))"
)
_ORDER = re.compile(r"([0-9]{1,2})[ ]?[-/. ][ ]?([0-9]{1,2})(?![0-9])")
_DIGIT = re.compile("[0-9]")

Days = tuple[dt.date, dt.date, bool]
"""First and last day, and whether day and month could be exchanged."""


def parse_period(raw: str, day_first: bool = True) -> tuple[str, bool] | None:
    """Return (ISO 8601 interval "first/last", ambiguous) of a text that names two days, or None.

    The first day is never after the last. Day and month stand as in `parse_date`, and in one order for both days.
    """
    if len(raw) > _MAX_CHARS:
        return None
    text = fold_letters(" ".join(raw.split()))
    found = _iso(text) or _shared(text, day_first) or _two_dates(text, day_first) or _months(text)
    if found is None or found[0] > found[1] or found[0].year < 1990 or found[1].year > 2100:
        return None
    return f"{found[0].isoformat()}/{found[1].isoformat()}", found[2]


def _iso(text: str) -> Days | None:
    match = _ISO.fullmatch(text)
    try:
        return (dt.date.fromisoformat(match[1]), dt.date.fromisoformat(match[2]), False) if match else None
    except ValueError:
        return None


def _shared(text: str, day_first: bool) -> Days | None:
    """Two days of which the first leaves out its year, perhaps its month too."""
    for pattern in (_NAMED, _NAMED_FIRST):
        if (match := pattern.search(text)) and not _digits_around(text, match):
            last_name = match["m2"] or match["m1"]
            first, last = MONTH_NUMBER[match["m1"] or last_name], MONTH_NUMBER[last_name]
            return _within(int(match["year"]), (first, _number(match["d1"])), (last, _number(match["d2"])), False)
    match = _NUMBERS.search(text)
    if match is None or _digits_around(text, match):
        return None
    pairs = [(int(match["a1"]), int(match["b1"])), (int(match["a2"]), int(match["b2"]))]
    proven = _proven_order(pairs)
    order = day_first if proven is None else proven
    year = int(match["year"]) if len(match["year"]) == 4 else century(int(match["year"]))
    first_day, last_day = ((b, a) if order else (a, b) for a, b in pairs)
    return _within(year, first_day, last_day, proven is None and any(a != b for a, b in pairs))


def _within(year: int, first: tuple[int, int], last: tuple[int, int], ambiguous: bool) -> Days | None:
    try:
        end = dt.date(year, *last)
        start = dt.date(year - (first[0] > last[0]), *first)
    except ValueError:
        return None
    return start, end, ambiguous


def _two_dates(text: str, day_first: bool) -> Days | None:
    text = _GLUED_SHORT.sub(r"\1 to ", _GLUED.sub(" to ", text))
    spans = find_dates(text, day_first)
    if len(spans) != 2:
        return None
    matches = (_ORDER.match(text[start:end]) for start, end, _, _ in spans)
    proven = _proven_order([(int(m[1]), int(m[2])) for m in matches if m])
    if proven is not None and proven != day_first:
        spans = find_dates(text, proven)
    first, last = (dt.date.fromisoformat(iso) for _, _, iso, _ in spans)
    return first, last, proven is None and any(ambiguous for _, _, _, ambiguous in spans)


def _months(text: str) -> Days | None:
    found = list(_MONTH.finditer(text))
    rest = _MONTH.sub(" ", text)
    if len(found) not in (1, 2) or _DIGIT.search(rest):
        return None
    if len(found) == 2 and not re.fullmatch(_TO, text[found[0].end() : found[1].start()]):
        return None
    (first, first_year), (last, year) = _month(found[0]), _month(found[-1])
    if year is None:
        return None
    start = dt.date(year - (first > last) if first_year is None else first_year, first, 1)
    return start, dt.date(year, last, calendar.monthrange(year, last)[1]), False


def _month(match: re.Match[str]) -> tuple[int, int | None]:
    number = match["number"] or match["last_number"]
    year = match["named_year"] or match["year"] or match["first_year"]
    return int(number) if number else MONTH_NUMBER[match["name"]], int(year) if year else None


def _proven_order(pairs: list[tuple[int, int]]) -> bool | None:
    """Return whether the day comes first, where a number above twelve proves it for one of the dates."""
    if any(first > 12 for first, _ in pairs):
        return True
    return False if any(second > 12 for _, second in pairs) else None


def _number(day: str) -> int:
    return int("".join(c for c in day if c.isdigit()))


def _digits_around(text: str, match: re.Match[str]) -> bool:
    return _DIGIT.search(text[: match.start()] + text[match.end() :]) is not None
