"""Where an invoice asks to be paid: bank, branch number, account and its holder, told by labels and checksums.

Knows layouts, no weights: the learned models of these fields were fitted on bank statements, which always have them. An
invoice prints customer and member "accounts" too, so a number without a checksum counts only beside other bank words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stdnum import iban

from backends.ocr.concepts import fold_label
from backends.ocr.layout import DocumentLayout, Segment
from backends.ocr.rules import Told

_SURE, _LABELLED, _NAMED = 0.95, 0.85, 0.75
_NEAR_ROWS = 4
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2} ?[0-9]{2}(?: ?[A-Z0-9]{2,4}){3,8}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])")
_BRANCH = re.compile(r"[0-9]{3}[- ]?[0-9]{3}(?![0-9])|[0-9]{2}[- ][0-9]{2}[- ][0-9]{2}(?![0-9])|[0-9]{8}(?![0-9])")
_ACCOUNT = re.compile(r"[0-9][0-9 -]{3,20}[0-9](?![0-9])")
_BANK_WORD = re.compile(
    r"(?<![a-z])(?:bsb|sort code|blz|bankleitzahl|iban|bic|swift|bank|bank details|payment details|direct deposit|eft|"
    r"bankverbindung|coordonnees bancaires|rib|domiciliation|bankgegevens|banque|banco|banca|please pay to|"
    r"zahlbar auf|pay to|account name)(?![a-z])"
)
_BRANCH_LABEL = re.compile(r"(?<![a-z])(?:bsb|sort code|blz|bankleitzahl|branch)(?:[\s.]*(?:no|number|code))?[\s.:#]*$")
_ACCOUNT_LABEL = re.compile(
    r"(?<![a-z])(?:a/c|acc|acct|account|konto|kontonummer|konto-nr|compte|numero de compte|rekening|rekeningnummer|"
    r"cuenta|conto|no akaun)(?:[\s.]*(?:no|nr|number|num|#))?[\s.:#]*$"
)
_HOLDER_LABEL = re.compile(
    r"(?<![a-z])(?:account name|account holder|a/c name|acc name|acct name|name of account|titulaire(?: du compte)?|"
    r"kontoinhaber|rekeninghouder|ten name van|t\.n\.v\.?|titular|intestatario|nama akaun)[\s.:#]*(?=\S|$)"
)
_NAME_LABEL = re.compile(
    r"^\W*(?:bank name|bank|banque|kreditinstitut|banco|banca)\s*[:.]\s*(?=\S|$)|^\W*bank name\s*$"
)
_NAME = re.compile(
    r"(?<![a-z])[a-z .&'-]*(?:bank|banking group|sparkasse|volksbank|credit union|building society|banque [a-z]+|"
    r"banco [a-z]+|credit agricole|societe generale|bnp paribas|postbank)(?![a-z])[a-z .&'-]*$"
)
_NO_NAME = re.compile(
    r"(?<![a-z])(?:details?|transfer|account|deposit|pay|payment|charges?|fees?|card|reference|code|verbindung)(?![a-z])"
)


@dataclass(frozen=True)
class _Piece:
    """A part of a segment and its row."""

    segment: Segment
    start: int
    end: int
    row: int

    def told(self, value: str, probability: float) -> Told:
        segment, (start, end) = self.segment, (self.start, self.end)
        certain = probability * segment.confidence(start, end)
        return Told(segment.text[start:end], value, certain, segment.page, segment.span_polygon(start, end))


def tell_bank_detail(layout: DocumentLayout, name: str) -> Told | None:
    """Return the value of a bank detail; None where the invoice shows none."""
    rules: dict[str, Callable[[DocumentLayout], Iterator[Told]]] = {
        "bank_name": _bank_names,
        "bsb_number": _branches,
        "account_number": _accounts,
        "account_holder": _holders,
    }
    return max(rules[name](layout), key=lambda told: told.confidence, default=None)


def _accounts(layout: DocumentLayout) -> Iterator[Told]:
    for piece in _matches(layout, _IBAN):
        text = _text(piece)
        labelled = "iban" in fold_label(_before(layout, piece))
        if iban.is_valid(text):
            yield piece.told(text, _SURE)
        elif labelled:
            yield piece.told(text, _LABELLED)
    for piece in _matches(layout, _ACCOUNT):
        if _ACCOUNT_LABEL.search(fold_label(_before(layout, piece))) and _beside_bank_words(layout, piece):
            yield piece.told(_text(piece).strip(" -"), _LABELLED)


def _branches(layout: DocumentLayout) -> Iterator[Told]:
    for piece in _matches(layout, _BRANCH):
        if _BRANCH_LABEL.search(fold_label(_before(layout, piece))):
            yield piece.told(_text(piece), _SURE)


def _holders(layout: DocumentLayout) -> Iterator[Told]:
    for piece in _after_label(layout, _HOLDER_LABEL):
        if sum(c.isalpha() for c in _text(piece)) > 2:
            yield piece.told(_text(piece), _LABELLED)


def _bank_names(layout: DocumentLayout) -> Iterator[Told]:
    for piece in _after_label(layout, _NAME_LABEL):
        text = _text(piece)
        if sum(c.isalpha() for c in text) > 2 and not any(c.isdigit() for c in text):
            yield piece.told(text, _LABELLED)
    for index, segment in enumerate(layout.segments):
        folded = fold_label(segment.text)
        piece = _Piece(segment, 0, len(segment.text), layout.row_of[index])
        named = _NAME.fullmatch(folded) and " " in folded and not _NO_NAME.search(folded)
        if named and _beside_bank_words(layout, piece, beyond=segment):
            yield piece.told(segment.text.strip(), _NAMED)


def _matches(layout: DocumentLayout, pattern: re.Pattern[str]) -> Iterator[_Piece]:
    for index, segment in enumerate(layout.segments):
        for match in pattern.finditer(segment.text):
            if not segment.text[: match.start()][-1:].isdigit():
                yield _Piece(segment, match.start(), match.end(), layout.row_of[index])


def _after_label(layout: DocumentLayout, label: re.Pattern[str]) -> Iterator[_Piece]:
    """What follows a label: the rest of its segment, or the next segment of the row where that is empty."""
    for index, segment in enumerate(layout.segments):
        match = label.search(fold_label(segment.text))
        if match is None:
            continue
        start = min(match.end(), len(segment.text))
        if segment.text[start:].strip(" :.-"):
            yield _Piece(segment, start, len(segment.text), layout.row_of[index])
            continue
        row = layout.rows[layout.row_of[index]]
        for right in row[row.index(index) + 1 : row.index(index) + 2]:
            other = layout.segments[right]
            yield _Piece(other, 0, len(other.text), layout.row_of[right])


def _before(layout: DocumentLayout, piece: _Piece) -> str:
    """Return what stands to the left: in the segment, or the row's segment before where that has no letters."""
    inside = piece.segment.text[: piece.start]
    if any(c.isalpha() for c in inside):
        return inside
    row = layout.rows[piece.row]
    left = next(n for n, i in enumerate(row) if layout.segments[i] is piece.segment) - 1
    return layout.segments[row[left]].text + inside if left >= 0 else inside


def _beside_bank_words(layout: DocumentLayout, piece: _Piece, beyond: Segment | None = None) -> bool:
    """Return whether a word of banking stands within a few rows, in the same column."""
    rows = layout.rows[max(0, piece.row - _NEAR_ROWS) : piece.row + _NEAR_ROWS + 1]
    near = (layout.segments[i] for row in rows for i in row)
    return any(
        other.page == piece.segment.page
        and other is not beyond
        and min(other.box[2], piece.segment.box[2]) > max(other.box[0], piece.segment.box[0])
        and _BANK_WORD.search(fold_label(other.text)) is not None
        for other in near
    )


def _text(piece: _Piece) -> str:
    return piece.segment.text[piece.start : piece.end].strip()
