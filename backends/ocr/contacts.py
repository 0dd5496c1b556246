"""Telephone numbers, e-mail and web addresses, told by their form, the label before them and whose block they stand in.

Knows layouts and where the parties' names and addresses were found; no weights. The probabilities are rates measured on
synthetic documents, rounded down, times the reading's own certainty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.ocr.concepts import fold_label
from backends.ocr.fields import CONTACTS, Party
from backends.ocr.layout import Box, DocumentLayout, Segment
from backends.ocr.rules import Told
from router.dates import find_dates
from router.identifiers import is_phone

_LABELLED, _NEAR, _BARE = 0.9, 0.95, 0.7
_MAX_LINES_FROM_PAYER = 6.0
_NUMBER = re.compile(r"(?<![\w.,/\-+])(?:\+ ?)?\(?[0-9][0-9 ()./\-–]{4,24}[0-9](?!\w|[.,][0-9]|%)")
_EMAIL = re.compile(r"[\w.+-]+ ?@ ?(?:[\w-]+\.)+[A-Za-z]{2,}")
_DOMAINS = "com|net|org|info|biz|io|shop|store|edu|gov|eu|au|nz|my|sg|in|us|ca|uk|ie|de|at|ch|fr|be|nl|lu|es|it|pt"
_WEBSITE = re.compile(
    r"(?<![@\w.\-/])(?:https?://[\w.-]+(?:/[^\s,;]*)?|www ?[.,] ?[\w-]+(?:[.,][\w-]+)+(?:/[^\s,;]*)?"
    rf"|[a-z0-9-]{{3,}}(?:\.[a-z0-9-]+)*\.(?:{_DOMAINS})(?:/[^\s,;]*)?)(?![\w@])",
    re.IGNORECASE,
)
_NOT_THEIR_OWN = re.compile(r"facebook|instagram|twitter|youtube|linkedin|paypal|google", re.IGNORECASE)
_PHONE_LABEL = re.compile(
    r"(?:(?<![a-z])(?:tel|telephone|telefon|telefono|telefoon|telp|tlf|phone|ph|fon|mobile|mobil|mob|hp|h/p|gsm|cell|"
    r"call|call us|contact|contact us|hotline|careline|whatsapp)|(?:^|[\s|(])[tpm](?=[\s.:]))"
    r"(?:[\s.]*(?:no|nr|number|#))?(?:\s*[/&]\s*fax)?[\s.:()#|]*$"
)


@dataclass(frozen=True)
class Place:
    """A box in layout coordinates on page `page`."""

    page: int
    box: Box


@dataclass(frozen=True)
class _Found:
    segment: Segment
    start: int
    end: int
    value: str
    probability: float

    @property
    def place(self) -> Place:
        return Place(self.segment.page, self.segment.span_box(self.start, self.end))


def tell_contact(layout: DocumentLayout, name: str, parties: Mapping[Party, Sequence[Place]]) -> Told | None:
    """Return the value of a field of `CONTACTS`, or None; `parties` says where names and addresses stand."""
    party, sort = CONTACTS[name]
    finders = {"phone": _phones, "email": _emails, "website": _websites}
    own = [found for found in finders[sort](layout) if _whose(found, parties) == party]
    if not own:
        return None
    best = max(own, key=lambda found: found.probability)
    polygon = best.segment.span_polygon(best.start, best.end)
    certain = best.probability * best.segment.confidence(best.start, best.end)
    return Told(best.segment.text[best.start : best.end], best.value, certain, best.segment.page, polygon)


def _phones(layout: DocumentLayout) -> Iterator[_Found]:
    for index, segment in enumerate(layout.segments):
        dates = [(start, end) for start, end, _, _ in find_dates(segment.text)]
        for match in _NUMBER.finditer(segment.text):
            start, end = match.start(), _first_number(match)
            text = segment.text[start:end]
            labelled = _PHONE_LABEL.search(fold_label(_before(layout, index, start))) is not None
            dated = any(s < end and start < e for s, e in dates)
            if is_phone(text) and (labelled or (text.startswith("+") and not dated)):
                yield _Found(segment, start, end, text, _LABELLED if labelled else _BARE)


def _first_number(match: re.Match[str]) -> int:
    """Return the end of the first of two numbers that a stroke parts."""
    if is_phone(match[0]):
        return match.end()
    return match.start() + len(re.split(r"\s*/\s*|\s{2,}", match[0], maxsplit=1)[0])


def _before(layout: DocumentLayout, index: int, start: int) -> str:
    """Return what stands to the left: in the segment, or the row's segment before where that is only points."""
    inside = layout.segments[index].text[:start]
    if any(c.isalpha() for c in inside):
        return inside
    row = layout.rows[layout.row_of[index]]
    left = row.index(index) - 1
    return layout.segments[row[left]].text + inside if left >= 0 else inside


def _emails(layout: DocumentLayout) -> Iterator[_Found]:
    for segment in layout.segments:
        for match in _EMAIL.finditer(segment.text):
            yield _Found(segment, match.start(), match.end(), match[0].replace(" ", ""), _NEAR)


def _websites(layout: DocumentLayout) -> Iterator[_Found]:
    for segment in layout.segments:
        emails = [match.span() for match in _EMAIL.finditer(segment.text)]
        for match in _WEBSITE.finditer(segment.text):
            if _NOT_THEIR_OWN.search(match[0]) or any(s < match.end() and match.start() < e for s, e in emails):
                continue
            end = match.start() + len(match[0].rstrip(".,;:)"))
            text = segment.text[match.start() : end]
            value = text.replace(" ", "").replace(",", ".")
            named = value.lower().startswith(("http", "www"))
            yield _Found(segment, match.start(), end, value, _NEAR if named else _BARE)


def _whose(found: _Found, parties: Mapping[Party, Sequence[Place]]) -> Party:
    """Return the party in whose block a contact stands; what stands in none, as in a foot, is the supplier's."""
    to_payer = _lines_away(found, parties.get("payer", ()))
    if to_payer > _MAX_LINES_FROM_PAYER:
        return "business"
    return "payer" if to_payer < _lines_away(found, parties.get("business", ())) else "business"


def _lines_away(found: _Found, places: Sequence[Place]) -> float:
    """Return the distance to the nearest place in the same column, in line heights; infinite where there is none."""
    here, height = found.place, max(found.segment.height, 1e-6)
    left, top, right, bottom = here.box
    gaps = [
        max(0.0, top - box[3], box[1] - bottom) / height
        for box in (place.box for place in places if place.page == here.page)
        if min(right, box[2]) - max(left, box[0]) > -2 * height
    ]
    return min(gaps, default=float("inf"))
