"""Where a value ends and the model's own remark about it begins. Knows wording, not fields.

A bracket may belong to a name ("Acme (NSW) Pty Ltd"), so in text only what reads like a remark is cut; behind a number,
a date or a code every bracket is one.
"""

from __future__ import annotations

import re

_LOWER = (
    r"note\b|or\b|i\.e|e\.g|as\b|shown|printed|listed|visible|located|found|from\b|at the (?:top|bottom)|in the (?:"
    r"header|top|logo|footer|payment|upper|lower|image|document)|"
    r"on the (?:receipt|invoice|document|page|top|left|right|first|image)|"
    r"taken|based on|inferred|assum|likely|probably|possibly|presum|handwritten|not\b|no\b|including|"
    r"incl\b|incl\.|inc\b|"
    r"excl|excluding|this\b|it\b|same\b|see\b|under\b|above|below|before|after|due\b|approx|given|stated|written|"
    r"appears|according|which|with(?:out)?\b|top line|also\b|calculated|partially|hard\b|difficult|blurr|is\b|was\b|"
    r"the\b|for\b|header|logo|in bold|paid\b|bold|on special|inclusive|exclusive|total\b|tax\b|per\b|where|"
    r"because|since"
)
_ANY_CASE = (
    r"(?:the )?(?:supplier|payer|customer|seller|buyer|vendor|merchant|issuer|purchaser|client)(?:'s)?\b(?! pty| ltd)|"
    r"the (?:document|invoice|receipt|statement|total|bank|store|company|business|account holder|value|amount)\b|"
    r"note:|as (?:shown|printed|stated|per)|(?:incl|excl)(?:uding|usive|\.)?\b|gst\b|inferred|assumed|shown|"
    r"not (?:shown|visible|specified|provided)|"
    r"(?:abn|acn|vat|gst|ph|phone|tel|fax|mobile)(?: ?(?:no|number))?[.: ]+[+(\d]|e-?mail:|"
    r"day first|dd/mm|mm/dd"
)
_REMARK = re.compile(rf"(?:(?:{_LOWER})|(?i:{_ANY_CASE}))")
_SENTENCE = re.compile(
    r"[.;]\s+(?:This|It|Note|As|Based|However|Please|I |The (?:document|name|value|amount|total|date|supplier|invoice|"
    r"receipt)|There)\b"
)
_MARKED = re.compile(r"\s+(?://+|<!--|←|<-|<--|/\*)\s*\S|\s+#\s+[a-z]")
_DASHED = re.compile(r"\s+[-–—]{1,2}\s+|[,;]\s+")
_TAIL = re.compile(r"\s+(?:dated|issued(?: on)?|due(?: by| on)?|as (?:at|of)|paid on|by(?= \d))\s+\S")
_MAX_REMARKS = 4


def value_end(text: str, start: int, end: int, prose: bool) -> int:
    """Return where the value in text[start:end] ends; `prose` values keep brackets that may be their own."""
    for _ in range(_MAX_REMARKS):
        value = text[start:end].rstrip()
        cut = _remark_start(value, prose)
        if cut is None or not value[:cut].strip():
            return start + len(value)
        end = start + cut
    return start + len(text[start:end].rstrip())


def _remark_start(value: str, prose: bool) -> int | None:
    if marked := _MARKED.search(value):
        return marked.start()
    if sentence := _SENTENCE.search(value):
        return sentence.start()
    bracket = _last_bracket(value)
    if bracket and (not prose or _REMARK.match(value, bracket + 1)):
        return bracket
    if not prose and (tail := _TAIL.search(value)):
        return tail.start()
    return next((m.start() for m in _DASHED.finditer(value) if _REMARK.match(value, m.end())), None)


def _last_bracket(value: str) -> int | None:
    """Where the bracket opens that closes at the end of a value, or that never closes."""
    shown = value.rstrip(".,; ")
    closed: list[int] = []
    for index in range(len(shown) - 1, -1, -1):
        if shown[index] in ")]":
            closed.append(index)
        elif shown[index] in "([":
            if not closed:
                return index
            if closed.pop() == len(shown) - 1:
                return index
    return None
