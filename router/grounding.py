"""Where a value stands in the words of a page. Knows words and polygons, no lane and no schema."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from router.normalise import find_amounts, find_dates, fold, normalise
from router.types import FieldKind, Polygon, Word

_MAX_EDITS_SHARE = 0.2
_MIN_FUZZY_CHARS = 5
_MAX_VALUE_CHARS = 400
_MAX_PERIOD_WORDS = 12


@dataclass(frozen=True)
class Grounding:
    """`score` in [0,1]: 1 when found letter for letter; `polygon` encloses all words of the value, lines included."""

    score: float
    page: int
    polygon: Polygon


def ground(value: str, words: Sequence[Word], page: int, kind: FieldKind = "text") -> Grounding | None:
    """Return where a value stands on page number `page`, or None when it is not there.

    Dates, periods and amounts are found by meaning, other kinds by their letters and digits: exactly, else with at most
    one edit in five characters (Myers 1999, bit-parallel). Words are taken in the order given: a value may run over
    lines.
    """
    if kind in ("date", "period", "amount"):
        span = _find_period(value, words) if kind == "period" else _find_typed(value, words, kind)
        return Grounding(1.0, page, union_polygon([w.polygon for w in words[span[0] : span[1]]])) if span else None
    wanted = fold(value)[:_MAX_VALUE_CHARS]
    if not wanted:
        return None
    parts = [fold(w.text) for w in words]
    ends = list(accumulate(map(len, parts)))
    text = "".join(parts)
    found = _exact(wanted, text, ends) or _fuzzy(wanted, text)
    if found is None:
        return None
    start, end, edits = found
    first, last = bisect_right(ends, start), bisect_right(ends, end - 1)
    return Grounding(1.0 - edits / len(wanted), page, union_polygon([w.polygon for w in words[first : last + 1]]))


def union_polygon(polygons: Sequence[Polygon]) -> Polygon:
    """Return the upright rectangle around all polygons, as a polygon."""
    xs = [x for p in polygons for x in p[0::2]]
    ys = [y for p in polygons for y in p[1::2]]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (left, top, right, top, right, bottom, left, bottom)


def _exact(wanted: str, text: str, ends: Sequence[int]) -> tuple[int, int, int] | None:
    borders = {0, *ends}
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        # a short value inside a longer word is chance, not evidence
        if len(wanted) >= _MIN_FUZZY_CHARS or (start in borders and end in borders):
            return start, end, 0
        start = text.find(wanted, start + 1)
    return None


def _fuzzy(wanted: str, text: str) -> tuple[int, int, int] | None:
    if len(wanted) < _MIN_FUZZY_CHARS:
        return None
    edits, end = _best_end(wanted, text)
    if edits > _MAX_EDITS_SHARE * len(wanted):
        return None
    window = text[max(end - len(wanted) - edits, 0) : end]
    _, length = _best_end(wanted[::-1], window[::-1])
    return end - max(length, 1), end, edits


def _best_end(pattern: str, text: str) -> tuple[int, int]:
    """Return (edits, end) of the substring of `text` nearest to `pattern`."""
    full = (1 << len(pattern)) - 1
    high = 1 << (len(pattern) - 1)
    masks: dict[str, int] = {}
    for i, character in enumerate(pattern):
        masks[character] = masks.get(character, 0) | (1 << i)
    plus, minus, edits = full, 0, len(pattern)
    best, best_end = edits, 0
    for end, character in enumerate(text, 1):
        equal = masks.get(character, 0)
        vertical = equal | minus
        horizontal = (((equal & plus) + plus) ^ plus) | equal
        up = minus | (~(horizontal | plus) & full)
        down = plus & horizontal
        edits += bool(up & high) - bool(down & high)
        up, down = (up << 1) & full, (down << 1) & full
        plus, minus = down | (~(vertical | up) & full), up & vertical
        if edits < best:
            best, best_end = edits, end
    return best, best_end


def _find_typed(value: str, words: Sequence[Word], kind: FieldKind) -> tuple[int, int] | None:
    finders: dict[str, Callable[[str], list[tuple[int, int, str]]]] = {
        "date": lambda t: [s[:3] for s in find_dates(t)],
        "amount": lambda t: [s[:3] for s in find_amounts(t)],
    }
    find = finders[kind]
    own = find(value)
    if not own:
        return None
    wanted = own[0][2]
    clue = wanted[2:4] if kind == "date" else wanted.lstrip("-").partition(".")[0]
    digits = ["".join(c for c in w.text if c.isdigit()) for w in words]
    for size in (1, 2, 3):
        for i in range(len(words) - size + 1):
            if clue in "".join(digits[i : i + size]):
                text = " ".join(w.text for w in words[i : i + size])
                if any(found[2] == wanted for found in find(text)):
                    return i, i + size
    return None


def _find_period(value: str, words: Sequence[Word]) -> tuple[int, int] | None:
    """Return the words that say the same two days, whichever way they are written; rather two dates than a month."""
    wanted = normalise("period", value).value
    if wanted is None:
        return None
    year = wanted.partition("/")[2][:4]
    ends_in_year = re.compile(rf"{year}|[-/.'’]{year[2:]}(?![0-9])")
    month: tuple[int, int] | None = None
    for end in (i for i, word in enumerate(words, 1) if ends_in_year.search(word.text)):
        for start in range(end - 1, max(end - 1 - _MAX_PERIOD_WORDS, -1), -1):
            text = [w.text for w in words[start:end]]
            if normalise("period", " ".join(text)).value == wanted:
                if sum(any(c.isdigit() for c in t) for t in text) > 1:
                    return start, end
                month = month or (start, end)
    return month
