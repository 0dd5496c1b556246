"""A piece of an answer -> the value alone, a claim of absence, or nothing. Knows kinds, not forms of answers.

What is no value of its kind is unknown: no number is taken out of a sum or a bracket, no remark is taken for a name.
"""

from __future__ import annotations

import html
import re

from backends.answers.absence import says_absent, says_absent_word, says_unknown
from backends.answers.answer import Answer
from backends.answers.comments import value_end
from backends.answers.kinds import value_span
from backends.answers.names import plain
from backends.answers.other_names import OTHER_NAMES
from router.schema import FieldSpec

MAX_VALUE_CHARS = 1000
_MARKS = re.compile(
    r"(?:[\s*`]|<(?:b|strong|i|em|p|span|code)>)*(?:(?:VALUE|Value|value|ANSWER|Answer)\s*[:=]\s*)?[\s*`]*"
)
_AFTER = re.compile(
    r"(?:[*`]+\.)?(?:[\s*`,]|</?(?:b|strong|i|em|p|li|ul|ol|div|span|br|u|code)\s?/?>)*$", re.IGNORECASE
)
_PAIRS = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_PLACEHOLDER = re.compile(r"\[[^\[\]]*\]|<[^<>]*>|\{[^{}]*\}|_{3,}|\.{3,}|x{4,}", re.IGNORECASE)
_ECHO = re.compile(
    r"(?:(?:text|date|number|characters) as printed|on one line|true or false|one of the listed words|JSON list of rows"
    r"|without the currency|first and last day).{0,60}$",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_OTHER_READING = re.compile(r"[\s(\[,;]*(?:or|possibly|perhaps|alternatively|maybe)\b", re.IGNORECASE)
_SECOND_THOUGHT = re.compile(
    r"\?\s+(?:no|yes|actually|maybe)\b|[.,;(–—-]\s*(?:wait|actually|correction|oops)\b", re.IGNORECASE
)
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
_ON_TOP = re.compile(
    r"\bnot included in (?:the |these |this )?(?:\w+ )?(?:prices?|totals?|amounts?|sums?)\b", re.IGNORECASE
)
_NAMED = re.compile(r"((?:The |the )?[A-Za-z][A-Za-z _./]{0,40}?)\s*(:|\b(?:is|was)\b)[\s*:]+(?=\S)")
_OTHER_KEY = re.compile(r"\s+(?:\*\*[A-Z][\w #./]{0,30}(?::\*\*|\*\*:)|[|•]\s*\**[A-Z][\w #./]{0,30}:)")
_GLUED_LABEL = re.compile(
    r"\S\s+(?:No|Number|Date|ID|Ref|Reference|Code|Name)\.?\s?:\s|\w [A-Z][a-z]+: ?\d"
    r"|, (?:BSB|ABN|Acc(?:ount|t)?)\b.{0,12}\d"
)
_IN_BRACKET = re.compile(r"[^\s(]\s?\([^()]{1,60}\)$")
_BLANKS = "nrtbf"


def read_value(
    text: str, start: int, end: int, spec: FieldSpec, quoted: bool = False, cell: bool = False
) -> Answer | None:
    """Return what text[start:end] says of a field, None where it says nothing that can be relied on.

    `quoted` says that quotes stood around it, so that an empty text is a claim; a `cell` may have a unit behind its
    number.
    """
    if end - start > MAX_VALUE_CHARS * 2:
        return None
    start, end, inner = _unwrapped(text, start, end)
    if start >= end:
        return Answer(None, start, start) if quoted or inner else None
    value = text[start:end]
    if says_absent_word(value):
        return Answer(None, start, end)
    if len(value) > MAX_VALUE_CHARS or _PLACEHOLDER.fullmatch(value) or _ECHO.search(value):
        return None
    if says_absent(value):
        # of a tax, "not included in the prices" says that it is on top of them
        return Answer(None, start, end) if spec.kind != "boolean" else _not_included(text, start, end)
    start = _behind_its_name(text, start, end, spec)
    # a bracket behind a row's description is printed there
    own_bracket = cell and spec.kind == "text" and _IN_BRACKET.search(text, start, end)
    told = end if own_bracket else value_end(text, start, end, prose=spec.kind == "text")
    if told < end:
        start, told, _ = _unwrapped(text, start, told)
        if says_absent(text[start:told]):
            return Answer(None, start, told)
    if spec.kind != "boolean" and (says_unknown(value) or says_unknown(text[start:told])):
        return None
    if _OTHER_READING.match(text, told, end) or _SECOND_THOUGHT.search(value):
        return None
    if not cell and (other := _OTHER_KEY.search(text, start, told)):
        told = end = other.start()
    span = value_span(text, start, told, end, spec, unit=cell)
    if span is None:
        return None
    start, end, _ = _unwrapped(text, *span)
    is_name = not cell and spec.kind in ("text", "identifier") and "address" not in spec.name
    if is_name and _GLUED_LABEL.search(text, start, end):
        return None  # where the value ends and the next name begins is not plain
    raw = spoken(text[start:end])
    return Answer(raw, start, end) if raw else None


def _not_included(text: str, start: int, end: int) -> Answer | None:
    value = text[start:end]
    if "includ" not in value.lower():
        return Answer(None, start, end)
    return Answer(spoken(value), start, end) if _ON_TOP.search(value) else None


def _behind_its_name(text: str, start: int, end: int, spec: FieldSpec) -> int:
    """Return where a value begins that repeats its field's name: "Total: $5.00", "The supplier is Acme"."""
    named = _NAMED.match(text, start, end)
    if named is None or (spec.kind != "amount" and named[2] == ":"):
        return start
    name = plain(named[1])
    return named.end() if name == plain(spec.name) or OTHER_NAMES.get(name) == spec.name else start


def spoken(text: str) -> str:
    """Return a text without escapes and entities, white space collapsed."""
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    if "<" in text:
        text = _BREAK.sub(" ", text)
    if "&" in text and ";" in text:
        text = html.unescape(text)
    return " ".join(text.split())


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return " " if match[2] in _BLANKS else match[2]


def _unwrapped(text: str, start: int, end: int) -> tuple[int, int, bool]:
    """Drop marks, commas and quotes around a value; the last is whether there were quotes."""
    quoted = False
    for _ in range(4):
        match = _MARKS.match(text, start, end)
        start = match.end() if match else start
        end = start + len(_AFTER.sub("", text[start:end][-2 * MAX_VALUE_CHARS :])) if start < end else end
        if end - start < 2 or _PAIRS.get(text[start]) != text[end - 1]:
            break
        start, end, quoted = start + 1, end - 1, True
    return start, max(start, end), quoted
