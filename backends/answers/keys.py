"""A line of an answer -> the key that opens it. Knows bullets, marks and separators; values are read elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from backends.answers.names import EXACT, LESSER, Meaning, Names, plain, section

_PREFIX = re.compile(
    r"[ \t]*(?:(?:>|#{1,6}|[-*•+▪●◦–—✓✔→]|\*{0,2}\(?\d{1,3}[.)]\*{0,2}|\(?[a-z][.)]|"
    r"(?:KEY|Key|FIELD|Field)(?: NAME| Name| name)?[ \t]*[:=])"
    r"[ \t]+|\d{1,3}[.)](?=[A-Za-z*])|<(?:b|strong|i|em|p|li|ul|ol|div|span|br|u|code)(?:\s[^<>]{0,80})?>[ \t]*)*"
)
_SEPARATOR = re.compile(r"[:：]|=>?|[-–—]{1,2}>|→|\t+|\s[-–—]\s|\s(?:is|was|are):?\s")
_AFTER = re.compile(r"(?:</(?:b|strong|i|em|span|u|code)>)*\\?(?:[*_`\"]{1,3}(?=[\s*]|$))?[ \t]*")
_BETWEEN = re.compile(r"[,;|\t]\s*|\s{2,}|\s-\s")
_STATED = re.compile(r"[\"'$€£(]?[A-Z0-9$€£\"']|[-–(]?\d|not\b|none\b|n/a", re.ASCII)
_CAPITAL = re.compile(r"(?<![^\s*])[A-Z]")
_OTHER_LABELS = frozenset({
    "acc", "acct", "acn", "attn", "due", "fax", "mobile", "order", "page", "ph", "ref", "reference", "tel", "terms",
    "time", "web",
})  # fmt: skip
_GOES_ON = re.compile(r"\b(?:is|was|are|were|and the|which|has|have|but)\b")
_TITLE = re.compile(r"[A-Za-z][\w .#/&'()-]{0,40}")
_MAX_KEY = 90
_MAX_TRIES = 4
_MAX_MORE = 80


@dataclass(frozen=True)
class Line:
    """One line: `content` is where its text begins behind bullets and marks, `marked` whether there were any."""

    start: int
    end: int
    content: int
    marked: bool
    indent: int


@dataclass(frozen=True)
class Key:
    """What a line begins with: a known field, the opening of a part, or a name that nobody knows."""

    label: str
    start: int
    value: int
    meaning: Meaning | None = None
    opens: str | None = None
    bare: bool = False


def split_lines(text: str, start: int, end: int, most: int) -> list[Line]:
    """Return at most `most` lines of text[start:end]."""
    lines: list[Line] = []
    while start < end and len(lines) < most:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        lines.append(line_at(text, start, stop))
        start = stop + 1
    return lines


def line_at(text: str, start: int, end: int) -> Line:
    """Return the line from `start` to `end`."""
    prefix = _PREFIX.match(text, start, end)
    content = prefix.end() if prefix else start
    shown = text[start:content]
    indent = len(shown) - len(shown.lstrip(" \t"))
    return Line(start, end, content, bool(shown.strip()), indent)


def key_at(text: str, line: Line, names: Names, context: str | None) -> Key | None:
    """Return the key of a line; None where it begins with none. A key nobody knows counts where it is in snake case."""
    body = text[line.content : min(line.end, line.content + _MAX_KEY + 40)]
    for number, sep in enumerate(islice(_SEPARATOR.finditer(body), _MAX_TRIES)):
        label, after = body[: sep.start()], _value_start(text, line.content + sep.end(), line.end)
        known = _known(label, sep[0], text[after : line.end], names, context)
        if known:
            return Key(label, line.content, after, known, section(label))
        if sep[0] in ":：" and not text[after : line.end].strip() and section(label):
            return Key(label, line.content, after, None, section(label))
        last = label.split()[-1:] or [""]
        if "_" in last[0] and (meaning := names.field(last[0])) and meaning.strength == EXACT and sep[0].strip():
            return Key(last[0], line.content + sep.start() - len(last[0]), after, meaning)
        if number == 0 and sep[0] in ":：=" and looks_like_a_field(label):
            return Key(label, line.content, after)
    return _heading(text, line, names, context)


def more_keys(text: str, start: int, end: int, names: Names, context: str | None) -> list[Key]:
    """Return the keys behind the first one of a line; one without a meaning only ends the value before it."""
    found = []
    edge = start
    for sep in islice(re.compile(r"[:：=]").finditer(text, start, end), _MAX_MORE):
        piece = text[max(edge, sep.start() - _MAX_KEY) : sep.start()]
        offset = sep.start() - len(piece)
        cuts = [m.end() for m in _BETWEEN.finditer(piece)]
        word = len(piece.rstrip()) - len((piece.split() or [""])[-1])
        for cut in [*cuts[-1:], word]:
            label = piece[cut:]
            meaning = names.field(label, context)
            sure = meaning and (
                (meaning.strength == EXACT and "_" in label.replace("\\", ""))
                or (cut in cuts and meaning.strength != LESSER)
            )
            if sure and label.strip():
                found.append(Key(label, offset + cut, _value_start(text, sep.end(), end), meaning))
                edge = sep.end()
                break
        else:
            glued = _glued(text, (start, edge, sep.start()), names, context)
            if glued:
                found.append(Key(glued[0], sep.start() - len(glued[0]), _value_start(text, sep.end(), end), glued[1]))
                edge = sep.end()
    return found


def _glued(
    text: str, places: tuple[int, int, int], names: Names, context: str | None
) -> tuple[str, Meaning | None] | None:
    """Return the name that ends at a colon with a single blank before it: the longest one, in capitals, that is known.

    `places` are where the first value begins, where the last name ended and where the colon stands. A name of a party's
    field, or one that is not sure, has no meaning here.
    """
    first, edge, colon = places
    value = text[max(first, colon - _MAX_KEY) : colon]
    if value.count("(") > value.count(")") or text[colon + 1 : colon + 2] not in " \t*":
        return None
    piece = text[max(edge, colon - _MAX_KEY) : colon]
    starts = [m.start() for m in _CAPITAL.finditer(piece)][-_MAX_TRIES:]
    for cut in starts:
        label = piece[cut:]
        meaning = names.field(label, context)
        if meaning or names.field(label, "supplier") or section(label) or plain(label) in _OTHER_LABELS:
            sure = meaning if meaning and meaning.strength != LESSER else None
            return (label, sure) if piece[:cut].strip(' *`"') else None
    return None


def inline_rows(text: str, line: Line) -> list[Line]:
    """Return the rows that stand on one line, between semicolons, or the line itself."""
    if "|" not in text[line.start : line.end] or ";" not in text[line.start : line.end]:
        return [line]
    ends = [m.start() for m in re.finditer(";", text[line.start : line.end])]
    starts = [line.start, *(line.start + end + 1 for end in ends)]
    return [line_at(text, s, e) for s, e in zip(starts, [line.start + e for e in ends] + [line.end], strict=True)]


def looks_like_a_field(label: str) -> bool:
    """Return whether a name that nobody knows is one of a field: in snake case or in capitals."""
    name = label.replace("\\", "").strip(" *`\"'")
    return bool(_TITLE.fullmatch(name)) and ("_" in name or (name.isupper() and len(name) > 1))


def looks_like_a_key(text: str, line: Line) -> bool:
    """Return whether a line has the shape `Some name: something`."""
    head, colon, _ = text[line.content : line.end][:60].partition(":")
    return bool(colon) and len(head.split()) <= 4 and bool(_TITLE.fullmatch(head.strip(" *`\"'")))


def _known(label: str, sep: str, value: str, names: Names, context: str | None) -> Meaning | None:
    meaning = names.field(label, context)
    if meaning is None or not label.strip():
        return None
    if sep.strip(": \t") in ("is", "was", "are"):
        # a sentence is read only where it plainly states a value
        value = value.strip().strip("*`")
        stated = (
            _STATED.match(value)
            and len(value) < 160
            and not _GOES_ON.search(value)
            and label.strip().lower().startswith(("the ", *_own(meaning)))
        )
        return meaning if stated and meaning.strength != LESSER else None
    return meaning if sep.strip() not in ("-", "–", "—") or meaning.strength != LESSER else None


def _own(meaning: Meaning) -> tuple[str, str]:
    return meaning.field, meaning.field.replace("_", " ")


def _heading(text: str, line: Line, names: Names, context: str | None) -> Key | None:
    whole = text[line.content : line.end].strip()
    if not whole or len(whole) > _MAX_KEY:
        return None
    label = whole.strip("*_`: ")
    meaning, opened = names.field(label, context), section(label)
    marked = line.marked or whole.startswith(("**", "__"))
    if not (marked or (meaning and meaning.strength == EXACT and "_" in label)):
        return None
    if meaning is None and opened is None:
        return None
    return Key(label, line.content, line.end, meaning, opened, bare=True)


def _value_start(text: str, start: int, end: int) -> int:
    after = _AFTER.match(text, start, end)
    return after.end() if after else start
