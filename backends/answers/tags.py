"""Tags as models write them -> pieces. Knows angle brackets; no fields."""

from __future__ import annotations

import re

from backends.answers.answer import Span
from backends.answers.piece import Piece

MAX_TAGS = 20_000
MAX_DEPTH = 24
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]{0,63})((?:\s[^<>]{0,200})?)>")
_NAMED = re.compile(r"\b(?:name|key|field|id)\s*=\s*[\"']?([^\"'<>]{1,64}?)[\"']?\s*/?$")
_PRINTED = "b i br em strong p span div u sup sub small table tbody thead tr td th"
_PRINT = frozenset(_PRINTED.split())
_CELL = re.compile(r"<t[dh](?:\s[^<>]{0,200})?>([^<]*)(?:</t[dh]>)")
_HTML_ROW = re.compile(r"<tr\b", re.IGNORECASE)


def read_tags(text: str, start: int, end: int) -> Piece | None:
    """Return an object of the elements in text[start:end], None where nothing is closed by a tag."""
    if text.find("</", start, end) < 0:
        return None
    root = Piece("object", start, end)
    stack: list[tuple[str, Piece]] = [("", root)]
    for count, tag in enumerate(_TAG.finditer(text, start, end)):
        name = tag[2].lower()
        if count >= MAX_TAGS or name in _PRINT or tag[3].endswith("/"):
            continue
        if not tag[1]:
            if len(stack) <= MAX_DEPTH:
                piece = Piece("text", tag.end(), tag.end(), closed=False)
                stack[-1][1].kind = "object"
                named = _NAMED.search(tag[3])
                stack[-1][1].members.append((named[1] if named else tag[2], piece))
                stack.append((name, piece))
        elif any(name == open_name for open_name, _ in stack):
            while stack[-1][0] != name:
                stack.pop()
            _, piece = stack.pop()
            piece.end, piece.closed = tag.start(), True
    return root if root.members else None


def html_cells(text: str, start: int, end: int) -> list[list[Span]]:
    """Return the spans of the cells of an HTML table, row by row."""
    starts = [m.start() for m in _HTML_ROW.finditer(text, start, end)]
    rows = []
    for first, last in zip(starts, [*starts[1:], end], strict=False):
        rows.append([m.span(1) for m in _CELL.finditer(text, first, last)])
    return [cells for cells in rows if cells]
