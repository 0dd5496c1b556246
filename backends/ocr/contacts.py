"""Telephone numbers, e-mail and web addresses, told by their form, the label before them and whose block they stand in.

Knows layouts and the parties' names; no weights. The probabilities are rates measured on
synthetic documents, rounded down, times the reading's own certainty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.ocr.concepts import fold_label
from backends.ocr.fields import CONTACTS, Party
from backends.ocr.layout import DocumentLayout
from backends.ocr.pieces import Lines, Piece, lines_of
from backends.ocr.rules import Told
from backends.ocr.text_lines import TextLine
from router.identifiers import is_phone
from router.normalise import fold

_LABELLED, _NEAR, _BARE = 0.9, 0.95, 0.7
_MAX_LINES_BELOW_PAYER = 9.0
_LEAST_NAME = 4
_NO_PHONE = re.compile(r"^[0-9 ]+[.,][0-9]{2}$|[0-9]{1,2}[-./][0-9]{1,2}[-./](?:19|20)[0-9]{2}$")
"""An amount, a date."""
_BARE_NUMBER = re.compile(r"\+|\([0-9]{1,5}\)[ .\-]*[0-9]{3}|[0-9]{3}[-.][0-9]{3}[-.][0-9]{4}$")
"""How a number begins that is taken for a telephone's without a label, where nothing else stands in its line."""
_LETTER_O = re.compile(r"(?<=[0-9 ])[oO](?=[0-9])|(?<=[0-9])[oO](?=[ ])")
_NUMBER = re.compile(
    r"(?<![\w.,/\-+])(?:\+ ?)?\(?[0-9][0-9 ()./\-–]{4,24}[0-9](?!\w|-\w|[.,][0-9]|%| [0-9A-Za-z]*[0-9])"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+ ?@ ?(?:[\w-]+\.)+[A-Za-z]{2,}")
_DOMAINS = "com|co|net|org|info|biz|io|shop|store|edu|gov|eu|au|nz|my|sg|in|us|ca|uk|ie|de|at|ch|fr|be|nl|lu|es|it|pt"
_WEBSITE = re.compile(
    r"(?<![@\w.\-/])(?:https?://[\w.-]+(?:/[^\s,;]*)?|"
    rf"www ?[.,] ?[\w-]+(?:(?: [.,] ?|[.,] )(?:{_DOMAINS})(?!\w)|[.,][\w-]+)+(?:/[^\s,;]*)?"
    rf"|[a-z0-9-]{{3,}}(?:\.[a-z0-9-]+)*\.(?:{_DOMAINS})(?:/[^\s,;]*)?)(?![\w@])",
    re.IGNORECASE,
)
_NOT_THEIR_OWN = re.compile(r"facebook|instagram|twitter|youtube|linkedin|paypal|google", re.IGNORECASE)
_MADE_BY = re.compile(r"(?:powered|created|generated|printed) (?:by|with|using)\W*$", re.IGNORECASE)
_PHONE_LABEL = re.compile(
    r"(?:(?<![a-z])(?:tel|telephone|telefon|telefono|telefoon|telp|tlf|tfno|phone|ph|fon|mobile|mobil|mob|hp|h/p|gsm|cell|"
    r"call|call us|contact|contact us|hotline|careline|whatsapp)|(?:^|[\s|(])[tpm](?=[\s.:]))"
    r"(?:[\s.]*(?:no|nr|number|#))?(?:\s*[/&]\s*fax)?[\s.:()#|-]*$"
)


@dataclass(frozen=True)
class _Found:
    piece: Piece
    value: str
    probability: float


def tell_contact(layout: DocumentLayout, name: str, parties: Mapping[Party, str]) -> Told | None:
    """Return the value of a field of `CONTACTS`, or None; `parties` says by which name each one is printed."""
    party, sort = CONTACTS[name]
    finders = {"phone": _phones, "email": _emails, "website": _websites}
    lines = lines_of(layout)
    heads = {who: _lines_with(lines, printed) for who, printed in parties.items()}
    own = [found for found in finders[sort](lines) if _whose(found.piece, heads) == party]
    best = max(own, key=lambda found: found.probability, default=None)
    return best.piece.told(best.value, best.probability) if best else None


def _phones(lines: Lines) -> Iterator[_Found]:
    for line in lines.lines:
        text = _LETTER_O.sub("0", line.text)
        for match in _NUMBER.finditer(text):
            piece = lines.piece(line, match.start(), _first_number(match))
            number = text[piece.start : piece.start + len(piece.text)] if piece else ""
            if piece is None or not is_phone(number) or _NO_PHONE.search(number):
                continue
            before = piece.before()
            if _PHONE_LABEL.search(fold_label(before)):
                yield _Found(piece, number, _LABELLED)
            elif _BARE_NUMBER.match(number) and piece.text == line.text.strip() and not any(map(str.isalpha, before)):
                yield _Found(piece, number, _BARE)


def _first_number(match: re.Match[str]) -> int:
    """Return the end of the first of two numbers that a stroke parts."""
    if is_phone(match[0]):
        return match.end()
    return match.start() + len(re.split(r"\s*/\s*|\s{2,}", match[0], maxsplit=1)[0])


def _emails(lines: Lines) -> Iterator[_Found]:
    for piece in lines.find(_EMAIL):
        yield _Found(piece, piece.text.replace(" ", ""), _NEAR)


def _websites(lines: Lines) -> Iterator[_Found]:
    for line in lines.lines:
        emails = [match.span() for match in _EMAIL.finditer(line.text)]
        for match in _WEBSITE.finditer(line.text):
            made_by = _MADE_BY.search(line.text[: match.start()])
            if made_by or _NOT_THEIR_OWN.search(match[0]) or _overlaps(match, emails):
                continue
            piece = lines.piece(line, match.start(), match.start() + len(match[0].rstrip(".,;:)")))
            if piece is not None:
                value = piece.text.replace(" ", "").replace(",", ".")
                yield _Found(piece, value, _NEAR if value.lower().startswith(("http", "www")) else _BARE)


def _overlaps(match: re.Match[str], spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < match.end() and match.start() < end for start, end in spans)


def _lines_with(lines: Lines, name: str) -> list[TextLine]:
    """Return the lines that print a name or, where it runs over several, a part of it."""
    wanted, found = fold(name), []
    for line in lines.lines:
        folded = fold(line.text)
        shares = len(folded) >= _LEAST_NAME and wanted and (wanted in folded or folded in wanted)
        if shares and "@" not in line.text and not _WEBSITE.search(line.text):
            found.append(line)
    return found


def _whose(piece: Piece, heads: Mapping[Party, Sequence[TextLine]]) -> Party:
    """Return the party whose name stands nearest above; what stands below none, as in a foot, is the supplier's."""
    to_payer = _lines_below(piece, heads.get("payer", ()))
    if to_payer > _MAX_LINES_BELOW_PAYER:
        return "business"
    return "payer" if to_payer < _lines_below(piece, heads.get("business", ())) else "business"


def _lines_below(piece: Piece, heads: Sequence[TextLine]) -> float:
    """Return how many line heights a piece stands below the nearest head in its column, infinite where below none."""
    left, top, right, _ = piece.box
    height = max(piece.line.height, 1e-6)
    gaps = [
        (top - head.box[3]) / height
        for head in heads
        if head.page == piece.line.page
        and head.box[1] <= top
        and min(right, head.box[2]) - max(left, head.box[0]) > -height
    ]
    return min(gaps, default=float("inf"))
