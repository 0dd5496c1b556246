"""Day first or month first, decided for a whole document: it writes all its dates in one way. Knows texts only.

A date such as 2016-19-03 proves that this document writes year, day, month; its 2016-11-06 is then the 11th of June.
Where no date proves anything, a number that carries month and year (invoice FA11/2016/0406) is weaker evidence of the
same kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_FIELDS = re.compile(r"\d+")
_MONTH_AND_YEAR = re.compile(
    r"(?<![\d/.\-])(0[1-9]|1[0-2])[/\-]((?:19|20)\d\d)(?!\d)|(?<!\d)((?:19|20)\d\d)[/\-](0[1-9]|1[0-2])(?![\d\-/.])"
)


def settle_order(dates: Sequence[tuple[str, str, bool]], texts: Iterable[str]) -> list[tuple[str, bool]]:
    """Return (ISO day, ambiguous) of every date (printed text, ISO day, ambiguous), by the document's own order."""
    settled = [(iso, ambiguous) for _, iso, ambiguous in dates]
    for year_first in (True, False):
        here = [i for i, (text, _, _) in enumerate(dates) if _is_numeric(text, year_first)]
        verdict = _verdict([dates[i][:2] for i in here], year_first, texts)
        for i in here:
            iso, _ = settled[i]
            if verdict is not None and int(iso[8:]) <= 12 and iso[5:7] != iso[8:]:
                settled[i] = (_exchanged(iso) if verdict else iso, False)
    return settled


def _is_numeric(text: str, year_first: bool) -> bool:
    fields = _FIELDS.findall(text)
    if len(fields) < 3 or any(c.isalpha() for c in text):
        return False
    return (len(fields[0]) == 4) == year_first


def _verdict(dates: Sequence[tuple[str, str]], year_first: bool, texts: Iterable[str]) -> bool | None:
    """Return True when day and month are exchanged against the usual order, False when proven not, None if unknown."""
    proofs = [p for text, iso in dates if (p := _proof(text, iso, year_first)) is not None]
    if proofs:
        return all(proofs)
    marks = {(a or d, b or c) for text in texts for a, b, c, d in _MONTH_AND_YEAR.findall(text)}
    open_dates = [iso for _, iso in dates if int(iso[8:]) <= 12 and iso[5:7] != iso[8:]]
    plain = sum((iso[5:7], iso[:4]) in marks for iso in open_dates)
    exchanged = sum((iso[8:], iso[:4]) in marks for iso in open_dates)
    return exchanged > plain if plain != exchanged else None


def _proof(text: str, iso: str, year_first: bool) -> bool | None:
    """A day above 12 shows where the day stands: True where the month was expected."""
    fields = _FIELDS.findall(text)
    day, month = int(iso[8:]), int(iso[5:7])
    if day <= 12 or day == month:
        return None
    expected = int(fields[2] if year_first else fields[0])
    return expected != day


def _exchanged(iso: str) -> str:
    return f"{iso[:4]}-{iso[8:]}-{iso[5:7]}"
