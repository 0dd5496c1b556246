"""Quantities and prices told by how they are printed ("2 x 4.50", "1 PC * 9.000", "12.50*2"), without columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations

from backends.ocr.table_lines import Line, Number, Piece, join_spans, numbers_in, piece_of
from router.amounts import parse_number
from router.arithmetic import product_holds

_UNIT = (
    r"(?:(?:pcs?|pkts?|ea|units?|unités?|kgs?|g|lit(?:re|er)s?|ltr|nos?|stk|stück|st|uds?|box|btl|ctn|set|pz|hrs?|hours?)"
    r"\.?)"
)
_NUMBER = r"[0-9]+(?:[.,][0-9]{1,4})?"
_TIMES = r"(?:[xX×*@]|à)"
_PRODUCT = re.compile(
    rf"(?<![\w.,])(?P<a>{_NUMBER})\s?{_UNIT}?\s?{_TIMES}\s?(?:[A-Z]{{2,3}}|[$€£])?\s?(?P<b>{_NUMBER})(?![\w])",
    re.IGNORECASE,
)
_COUNTED = r"(?:pcs?|pkts?|ea|units?|unités?|nos?|stk|stück|uds?|btl|ctn|box|pz)\.?"
_QUANTITY = re.compile(
    rf"^\s*(?P<a>[0-9]{{1,4}}(?:[.,][0-9]{{1,3}})?)\s?(?:{_TIMES}|{_COUNTED})(?=\s|$)", re.IGNORECASE
)
_PRICE_OF = re.compile(rf"(?:@|[0-9]\s?{_UNIT}?\s?{_TIMES})\s?(?:[A-Z]{{2,3}}|[$€£])?\s?$", re.IGNORECASE)
_LEADING = re.compile(r"^(?P<a>[0-9]{1,3}(?:[.,][0-9]{1,3})?)$")
_CURRENCY = re.compile(r"(?:RM|EUROS?|EUR|USD|AUD|GBP|SGD|MYR|CHF|INR|NZD|CAD|[$€£₹])", re.IGNORECASE)
_MARK = re.compile(rf"{_TIMES}|{_UNIT}|[#=:|.,;*-]+", re.IGNORECASE)
_TAX_CODE = re.compile(r"[A-Z]{1,3}[0-9]?|[*#]|[0-9]{1,2}(?:[.,][0-9])?\s?%")


def read_product(pieces: Sequence[Piece], total: Decimal | None) -> tuple[list[Number], list[Piece]]:
    """Return [quantity, unit price] (or [quantity], or nothing) found in text, and the words that are left.

    Numbers beside a times sign count first; failing that, any two numbers whose product is the total.
    """
    spans = join_spans(pieces)
    for span in spans:
        for match in _PRODUCT.finditer(span.text):
            pair = [n for n in (_number(span, match, "a"), _number(span, match, "b")) if n is not None]
            if len(pair) == 2 and _is_price(pair, total):
                return _order(pair, total), _without(spans, span, match.start(), match.end())
    numbers = [n for span in spans for n in numbers_in(span.segment, span.start, span.end)]
    if total:
        # from the end, because a quantity stands behind the sizes in a description
        for a, b in combinations(reversed(numbers), 2):
            for quantity, unit in ((b, a), (a, b)):
                if unit.decimals >= 2 and quantity.value and product_holds(quantity.value, unit.value, total):
                    return [quantity, unit], _drop(_drop(spans, a.piece), b.piece)
    for span in spans:
        found = _QUANTITY.search(span.text)
        if found and (number := _number(span, found, "a")) is not None:
            return [number], _without(spans, span, found.start(), found.end())
    return [], list(spans)


def read_leading_quantity(pieces: Sequence[Piece]) -> tuple[Number | None, list[Piece]]:
    """Return the number a line starts with and the words behind it."""
    if len(pieces) < 2 or not _LEADING.match(pieces[0].text):
        return None, list(pieces)
    found = numbers_in(pieces[0].segment, pieces[0].start, pieces[0].end)
    return (found[0], list(pieces[1:])) if found else (None, list(pieces))


def line_total(line: Line) -> Number | None:
    """Return the amount a line ends with (a tax code may follow it), or None."""
    amounts = [n for n in line.numbers if n.decimals >= 2]
    if not amounts:
        return None
    last = max(amounts, key=lambda n: n.piece.x1)
    if is_price_of(last):
        return None
    after = " ".join(p.text for p in line.pieces if p.x0 >= last.piece.x1 - 0.3 * line.height)
    after = after.strip(" .:|-_'*")
    return last if not after or _TAX_CODE.fullmatch(after) or len(after) <= 2 else None


def is_price_of(number: Number) -> bool:
    """Return whether a times sign stands before a number: the price of one, not a total."""
    return bool(_PRICE_OF.search(number.piece.segment.text[: number.piece.start]))


def text_before(line: Line, total: Number) -> list[Piece]:
    """Return a line's words left of its total, the total's currency left out."""
    words = [p for p in line.pieces if p.middle < total.piece.x0]
    while words and _CURRENCY.fullmatch(words[-1].text):
        words.pop()
    return words


def tidy(pieces: Sequence[Piece]) -> list[Piece]:
    """Return words without lone marks and currencies at the ends, and without a bar code in front."""
    kept = [p for span in pieces for p in _words(span)]
    while len(kept) > 1 and (_is_mark(kept[0]) or (kept[0].text.isdigit() and len(kept[0].text) >= 8)):
        kept.pop(0)
    while len(kept) > 1 and (_is_mark(kept[-1]) or _CURRENCY.fullmatch(kept[-1].text)):
        kept.pop()
    return kept


def _is_mark(piece: Piece) -> bool:
    return not any(c.isalnum() for c in piece.text)


def _words(span: Piece) -> list[Piece]:
    found = re.finditer(r"\S+", span.text)
    return [piece_of(span.segment, span.start + m.start(), span.start + m.end()) for m in found]


def _number(span: Piece, match: re.Match[str], group: str) -> Number | None:
    parsed = parse_number(match[group])
    if parsed is None:
        return None
    start, end = match.span(group)
    return Number(piece_of(span.segment, span.start + start, span.start + end), parsed[0], parsed[1], False)


def _is_price(pair: list[Number], total: Decimal | None) -> bool:
    """Tell "2 x 4.50" from a size such as "36g*15"."""
    holds = total is not None and product_holds(pair[0].value, pair[1].value, total)
    return holds or any(n.decimals == 2 for n in pair)


def _order(pair: list[Number], total: Decimal | None) -> list[Number]:
    """Quantity first as printed, unless only the second number is whole ("12.50*2")."""
    first, second = pair
    if (
        first.decimals >= 2
        and second.decimals == 0
        and (total is None or product_holds(first.value, second.value, total))
    ):
        return [second, first]
    return pair


def _without(spans: Sequence[Piece], span: Piece, start: int, end: int) -> list[Piece]:
    return _drop(spans, piece_of(span.segment, span.start + start, span.start + end))


def _drop(spans: Sequence[Piece], gone: Piece) -> list[Piece]:
    """Return spans without one part, and without a times sign or unit that stood beside it."""
    kept: list[Piece] = []
    for span in spans:
        if span.segment is not gone.segment or span.end <= gone.start or span.start >= gone.end:
            kept.append(span)
            continue
        for start, end in ((span.start, gone.start), (gone.end, span.end)):
            text = span.segment.text[start:end]
            if text.strip() and not _MARK.fullmatch(text.strip()):
                left = len(text) - len(text.lstrip())
                kept.append(piece_of(span.segment, start + left, start + len(text.rstrip())))
    return kept
