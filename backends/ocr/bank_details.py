"""Where an invoice asks to be paid: bank, branch number, account and its holder, told by labels and checksums.

Knows layouts, no weights: the learned models of these fields were fitted on bank statements, which always have them. An
invoice prints customer and member "accounts" too, so a number without a checksum counts only beside other bank words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from stdnum import iban

from backends.ocr.concepts import fold_label
from backends.ocr.layout import DocumentLayout
from backends.ocr.pieces import Lines, Piece, lines_of
from backends.ocr.rules import Told

_SURE, _LABELLED, _NAMED, _FALSE_CHECKSUM = 0.95, 0.85, 0.75, 0.7
_NEAR_ROWS, _LONGEST_NAME = 4, 60
_IBAN_REST = re.compile(r"[A-Z0-9]{1,4}(?: [A-Z0-9]{1,4})*(?![A-Za-z0-9])")
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2} ?[0-9]{2}[A-Z0-9]{0,30}(?: [A-Z0-9]{1,12}){0,9}(?![A-Za-z0-9])")
_IBAN_CHARACTERS = range(15, 35)
_BRANCH = re.compile(
    r"(?:[0-9]{3} [0-9]{3} [0-9]{2}|[0-9]{3}[- ]?[0-9]{3}|[0-9]{2}[- ][0-9]{2}[- ][0-9]{2}|[0-9]{8})(?! ?[0-9])"
)
_ACCOUNT = re.compile(r"[0-9][0-9 -]{3,20}[0-9](?![0-9])")
_BANK_WORD = re.compile(
    r"(?<![a-z])(?:bsb|sort ?code|blz|bankleitzahl|iban|bic|swift|bank|bank details|payment details|direct deposit|eft|"
    r"bankverbindung|coordonnees bancaires|rib|domiciliation|bankgegevens|banque|banco|banca|please pay to|"
    r"zahlbar auf|pay to|account name)(?![a-z])"
)
_BRANCH_LABEL = re.compile(
    r"(?<![a-z])(?:bsb|sort ?code|blz|bankleitzahl|branch)(?:[\s.]*(?:no|number|code))?[\s.:#]*$"
)
_ACCOUNT_LABEL = re.compile(
    r"(?<![a-z])(?:a/?c|acc|acct|account|konto|kontonummer|konto-nr|compte|numero de compte|rekening|rekeningnummer|"
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
    r"(?<![a-z])(?:details?|transfer|accounts?|deposit|pay|payment|charges?|fees?|card|reference|code|verbindung)(?![a-z])"
)


def tell_bank_detail(layout: DocumentLayout, name: str) -> Told | None:
    """Return the value of a bank detail; None where the invoice shows none."""
    rules: dict[str, Callable[[Lines], Iterator[Told]]] = {
        "bank_name": _bank_names,
        "bsb_number": _branches,
        "account_number": _accounts,
        "account_holder": _holders,
    }
    return max(rules[name](lines_of(layout)), key=lambda told: told.confidence, default=None)


def _accounts(lines: Lines) -> Iterator[Told]:
    for piece in lines.find(_IBAN):
        yield from _ibans(lines, piece)
    for piece in lines.find(_ACCOUNT):
        if _ACCOUNT_LABEL.search(fold_label(piece.before())) and _beside_bank_words(lines, piece):
            yield piece.told(piece.text, _LABELLED)


def _ibans(lines: Lines, piece: Piece) -> Iterator[Told]:
    """An IBAN, perhaps with words behind it that it was taken to run into, or broken at the end of its line."""
    groups = piece.text.split(" ")
    cut = [lines.piece(piece.line, piece.start, piece.start + len(" ".join(groups[:n]))) for n in range(1, len(groups))]
    for found in (piece, lines.continued(piece, _IBAN_REST), *reversed(cut)):
        if found is not None and iban.is_valid(found.text):
            yield found.told(found.text, _SURE)
            return
    # a wrong checksum is mostly a misread letter, which its own certainty shows; some are printed so
    if "iban" in fold_label(piece.before()) and len(piece.text.replace(" ", "")) in _IBAN_CHARACTERS:
        yield piece.told(piece.text, _FALSE_CHECKSUM)


def _branches(lines: Lines) -> Iterator[Told]:
    for piece in lines.find(_BRANCH):
        if _BRANCH_LABEL.search(fold_label(piece.before())):
            yield piece.told(piece.text, _SURE)


def _holders(lines: Lines) -> Iterator[Told]:
    for piece in _after_label(lines, _HOLDER_LABEL):
        if sum(c.isalpha() for c in piece.text) > 2 and _beside_bank_words(lines, piece):
            yield piece.told(piece.text, _LABELLED)


def _bank_names(lines: Lines) -> Iterator[Told]:
    for piece in _after_label(lines, _NAME_LABEL):
        words = sum(c.isalpha() for c in piece.text) > 2 and not any(c.isdigit() for c in piece.text)
        if words and not _NO_NAME.search(fold_label(piece.text)):
            yield piece.told(piece.text, _LABELLED)
    for line in lines.lines:
        folded, whole = fold_label(line.text), lines.piece(line, 0, len(line.text))
        named = (
            " " in folded and len(folded) <= _LONGEST_NAME and _NAME.fullmatch(folded) and not _NO_NAME.search(folded)
        )
        if whole is not None and named and _beside_bank_words(lines, whole, itself=False):
            yield whole.told(whole.text, _NAMED)


def _after_label(lines: Lines, label: re.Pattern[str]) -> Iterator[Piece]:
    for line in lines.lines:
        match = label.search(fold_label(line.text))
        piece = lines.right_of(line, min(match.end(), len(line.text))) if match else None
        if piece is not None:
            yield piece


def _beside_bank_words(lines: Lines, piece: Piece, itself: bool = True) -> bool:
    """Return whether a word of banking stands within a few rows, in the same column."""
    own = piece.line
    return any(
        abs(other.row - own.row) <= _NEAR_ROWS
        and other.page == own.page
        and (itself or other is not own)
        and min(other.box[2], own.box[2]) > max(other.box[0], own.box[0])
        and _BANK_WORD.search(fold_label(other.text)) is not None
        for other in lines.lines
    )
