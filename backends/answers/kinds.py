"""Where in a piece of text the value of a kind stands, alone. Knows kinds of fields, not forms of answers."""

from __future__ import annotations

import re

from router.dates import MONTH_NUMBER
from router.normalise import find_dates, fold, normalise
from router.schema import FieldSpec

Span = tuple[int, int]

_RUN = re.compile(r"\d+(?:[.,'’]\d+|[ \u00a0\u202f]\d{3}(?!\d))*")
_CODE = r"(?:[A-Z]{1,3}\s?)?[$€£¥₹₩฿₱]|&(?:euro|pound|yen);|(?<![A-Za-z])(?:[A-Z]{3}|RM|Rs\.?|Rp|kr|Fr\.?)"
_NATION = r"(?:Australian|US|U\.S\.|Canadian|New Zealand|Singapore) "
_BEFORE = re.compile(rf"(?P<own>\(?[-−–+]?\s?(?:\\?(?:{_CODE})\s?){{0,2}}[-−]?\s?)$")
_AFTER = re.compile(
    rf"(?P<own>[-−](?!\S)|\s?(?:{_CODE})(?![A-Za-z])|\s?(?:DR|CR|Dr|Cr)(?![A-Za-z])|\s?(?:{_NATION})?(?:[Ee]uros?|[Dd]ollars?|[Pp]ounds?|EURO)\b)?"
    r"(?P<close>\s?\))?"
)
_UNIT = re.compile(r"\s?(?:x|×|/|per |@ ?each|ea\.?|each|[A-Za-z][A-Za-z.²³]{0,9})[ /]?(?:[A-Za-z.²³]{1,10})?\.?")
_SUM = re.compile(r"\d[.,]\d|[$€£]")
_DAY = re.compile(
    r"[0-3]?\d(?:st|nd|rd|th|\.)?[ /.-]{0,2}(?P<behind>[^\W\d_]{3,9})\.?|(?P<before>[^\W\d_]{3,9})[ .-]{1,2}[0-3]?\d"
    r"|[0-3]?\d[/.-][0-3]?\d\.?"
)
_OVERDRAWN = re.compile(r"\d\s?(?:DR|Dr|OD)\b")
_TIMES = re.compile(r"\s*(?:x|×|@)\s*", re.IGNORECASE)
_ISO_CODE = re.compile(r"\b[A-Z]{3}\b")
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\((?:https?|mailto):[^()]*\)")
_OWN_LABEL = re.compile(
    r"(?:A\.?B\.?N\.?|ACN|BSB|VAT|GST|No|Number|Invoice|Tel|Ph|Phone|Email|PO)\b\.?"
    r"(?: (?:No|Number|Reg No)\b\.?)?\s?[:#]?\s+(?=\S*\d)|#\s?(?=\d)",
    re.IGNORECASE,
)
_TWO_NUMBERS = re.compile(
    r"\d[\s,;|/]+(?:BSB|ABN|ACN|A/C|ACC|ACCT|Acc|Acct|Account|IBAN|BIC|SWIFT|Fax|Ph|Tel)\b"
    r"[.:]?(?: (?:No|Number)\b\.?)?[: ]"
)
_SENTENCE = re.compile(
    r"(?:the|this|that|it|there|i|is|are|was|based|unfortunately|please|to be)\s+[a-z]+(?:\s|$)", re.IGNORECASE
)
_STATED = re.compile(
    r"the (?:document|invoice|receipt|statement|image|page|name|value|supplier|total|amount)\b", re.IGNORECASE
)
_MAX_NAME_CHARS, _BSB_DIGITS = 400, 6


def value_span(text: str, start: int, told: int, end: int, spec: FieldSpec, unit: bool = False) -> Span | None:
    """Return the span of the value in text[start:told], behind which a remark runs to `end`; None: no plain value.

    `unit` allows a unit behind a number, as in a table's cells.
    """
    kind = str(spec.kind)
    if kind == "amount":
        if "balance" in spec.name and _OVERDRAWN.search(text, start, told):
            return None  # owed to the bank: without its sign the number would say the contrary
        return _amount(text, start, told, unit)
    if kind == "date":
        return _date(text, start, told) or (_day_of_year(text, start, told) if unit else None)
    if kind == "period":
        return next(((start, e) for e in (told, end) if normalise(spec.kind, text[start:e]).value), None)
    if kind == "boolean":
        if _SUM.search(text, start, end):
            return None  # a sum is no yes
        return next(((start, e) for e in (end, told) if normalise(spec.kind, text[start:e]).value), None)
    if kind == "enum":
        return _enum(text, start, told, spec)
    if kind == "identifier":
        return _identifier(text, start, told, end, spec)
    return _text(text, start, told)


def _amount(text: str, start: int, end: int, unit: bool) -> Span | None:
    """One number with what belongs to it; words, a second number or a percent sign make it no plain amount."""
    piece = text[start:end].rstrip(".; ")
    runs = list(_RUN.finditer(piece))
    if len(runs) != 1:
        return None
    run = runs[0]
    before, after = _BEFORE.search(piece[: run.start()]), _AFTER.match(piece, run.end())
    if (
        before is None
        or after is None
        or (len(before["own"]) < run.start() and not (unit and _TIMES.fullmatch(piece[: run.start()])))
    ):
        return None
    own = run.start() - len(before["own"].lstrip()) if before["own"].strip() else run.start()
    rest = piece[after.end() :]
    if rest.strip() and not (unit and _UNIT.fullmatch(rest)):
        if not unit or after["own"] is None or not _UNIT.fullmatch(piece[run.end() :]):
            return None
        after = None
    opened = "(" in before["own"]
    if opened != bool(after and after["close"]):
        return None
    last = run.end() if after is None else after.end()
    raw = piece[own:last]
    return (start + own, start + last) if normalise("amount", raw).value is not None else None


def _date(text: str, start: int, end: int) -> Span | None:
    found = find_dates(text[start:end])
    if len({iso for _, _, iso, _ in found}) == 1:
        return start + found[0][0], start + found[0][1]
    whole = not found and normalise("date", text[start:end]).value
    return (start, end) if whole else None


def _day_of_year(text: str, start: int, end: int) -> Span | None:
    """A day without its year, as statements print it beside each movement."""
    day = _DAY.fullmatch(text, start, end)
    named = day and (day["before"] or day["behind"])
    return (start, end) if day and (not named or fold(named) in MONTH_NUMBER) else None


def _enum(text: str, start: int, end: int, spec: FieldSpec) -> Span | None:
    piece = text[start:end]
    found = []
    for value in spec.values:
        words = re.escape(value).replace("_", "[\\s_-]+")
        if match := re.search(rf"(?<!\w){words}(?!\w)", piece.replace("\\", " "), re.IGNORECASE):
            found.append((match.end() - match.start(), match.start(), match.end()))
    if not found:
        return (start, end) if len(piece.split()) <= 3 else None
    _, first, last = max(found)
    if any(s < first or e > last for _, s, e in found):
        return None
    return start + first, start + last


def _identifier(text: str, start: int, told: int, end: int, spec: FieldSpec) -> Span | None:
    if spec.name == "currency":
        whole = text[start:end]
        codes = {m[0] for m in _ISO_CODE.finditer(whole)}
        match = _ISO_CODE.search(whole)
        if match and len(codes) == 1:
            return start + match.start(), start + match.end()
        return (start, told) if len(text[start:told].split()) <= 3 else None
    if link := _LINK.fullmatch(text, start, end):
        return link.span(1)
    while label := _OWN_LABEL.match(text, start, told):
        if label[0].upper().startswith("BSB") and spec.name != "bsb_number":
            return None  # two numbers in one
        start = label.end()
    if _TWO_NUMBERS.search(text, start, told):
        return None
    if spec.name == "bsb_number" and sum(c.isdigit() for c in text[start:told]) > _BSB_DIGITS:
        return None  # the account's number stands behind it
    told = start + len(text[start:told].rstrip("."))
    piece = text[start:told]
    has_code = any(c.isdigit() for c in piece) or len(piece.split()) <= 3
    return (start, told) if has_code and len(piece) <= 120 and not _is_sentence(piece) else None


def _text(text: str, start: int, end: int) -> Span | None:
    piece = text[start:end]
    if len(piece) > _MAX_NAME_CHARS or _is_sentence(piece) or not any(c.isalnum() for c in piece):
        return None
    return start, end


def _is_sentence(piece: str) -> bool:
    return bool(_STATED.match(piece)) or (bool(_SENTENCE.match(piece)) and piece == piece[:1] + piece[1:].lower())
