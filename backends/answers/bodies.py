"""The lines below a table's name -> its rows: objects, pipes, names with values, CSV. Knows columns, not fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, takewhile

from backends.answers.answer import Span
from backends.answers.keys import Line
from backends.answers.objects import ObjectReader, opens
from backends.answers.rows import Pair, Rows, delimited_rows, piece_rows
from router.normalise import find_dates

_RULE = re.compile(r"[\s|:+=-]*-[\s|:+=-]*")
_KEY_VALUE = re.compile(r"[:：=]")
_BETWEEN = re.compile(r"(?:[,;|\t(]|\s[-–—])\s*|\s{2,}")
_MARKER = re.compile(r"(?:item|row|transaction|line|entry|product|line item)?\s*#?\s*\d{0,5}\s*[:.)]?", re.IGNORECASE)
_CSV = {mark: re.compile(rf' *(?:"((?:[^"]|"")*)"|([^{mark}"]*)) *(?:{mark}|$)') for mark in "\t;,"}
_FIRST = re.compile(r"[^|]*")
_NUMBERED = re.compile(
    r"[*_\s]*(?:(?:item|row|transaction|line|entry|product) ?#?\d{1,4}[.:) *]+|\d{1,4}[.)]\s+)", re.IGNORECASE
)
_MAX_CELLS = 40
_MAX_SEPARATORS = 60


def body_rows(rows: Rows, lines: Sequence[Line], positional: bool = True) -> None:
    """Add what the lines of a table's body say; `positional` allows rows without any name of a column."""
    shown = [line for line in lines if _content(rows, line) and not _is_fence(rows.text, line)]
    if not shown:
        return
    if opens(rows.text, shown[0].content):
        _objects(rows, shown)
    elif any("|" in rows.text[line.content : line.end] for line in shown[:2]):
        table = [line for line in shown if "|" in rows.text[line.content : line.end]]
        rules = [line for line in table if not _RULE.fullmatch(rows.text, line.content, line.end)]
        cells = [pipe_cells(rows.text, line) for line in rules]
        if not positional or not _keyed(rows, shown, only_with=2):
            delimited_rows(rows, cells, positional)
    elif not _keyed(rows, shown):
        _separated(rows, shown, positional)


def pipe_cells(text: str, line: Line) -> list[Span]:
    """Return the spans of the cells of a line with pipes; a pipe at either end of the line opens no cell."""
    start, end = line.content, line.end
    while end > start and text[end - 1].isspace():
        end -= 1
    start += text[start:end].startswith("|")
    end -= end > start and text[end - 1] == "|" and text[end - 2 : end - 1] != "\\"
    cells: list[Span] = []
    first = start
    for index in range(start, end):
        if text[index] == "|" and text[index - 1] != "\\" and len(cells) < _MAX_CELLS:
            cells.append((first, index))
            first = index + 1
    return [*cells, (first, end)]


def is_rule(text: str, line: Line) -> bool:
    """Return whether a line is the rule below a header."""
    return _RULE.fullmatch(text, line.start, line.end) is not None


def _objects(rows: Rows, lines: Sequence[Line]) -> None:
    reader, position = ObjectReader(rows.text, lines[-1].end), 0
    for line in lines:
        if line.content < position:
            continue
        if not opens(rows.text, line.content):
            return
        piece, position = reader.read(line.content)
        piece_rows(rows, piece)
        if not piece.closed or not rows.whole:
            rows.whole = False
            return


def _keyed(rows: Rows, lines: Sequence[Line], only_with: int = 1) -> bool:
    """Read rows of names with values, over one line or several; False where the lines are not of that form."""
    told = [_pairs(rows, line) for line in lines]
    if max(map(len, told)) < only_with or not any(told):
        return False
    if only_with > 1 and not all(len(pairs) >= only_with for pairs in told):
        return False
    row: list[Pair] = []
    end = 0
    for number, line in enumerate(lines):
        pairs = told[number]
        behind = [] if pairs else [pair for one in takewhile(bool, islice(told, number + 1, None)) for pair in one]
        head = _lead(rows, line, pairs) if pairs else _title(rows, line, lines[number + 1]) if behind else None
        if head and not _is_description(rows, head, pairs):
            rows.whole = False
            return True
        is_new = not pairs and (head is not None or _is_marker(rows.text, line))
        if head and all(column != "description" for column, *_ in pairs or behind):
            pairs = [head, *pairs]
        if row and (is_new or any(column in {c for c, *_ in row} for column, *_ in pairs)):
            if not rows.add(row, end):
                return True
            row = []
        row += pairs
        end = line.end if pairs else end
    if row and not (rows.cut and not told[-1][1:]):
        # of a row over several lines, or with one cell so far, the rest may have been cut off
        rows.add(row, end)
    return True


def _title(rows: Rows, line: Line, following: Line) -> Pair | None:
    """Return what heads a row's lines: text that stands out, above lines that have names."""
    shown = rows.text[line.content : line.end]
    if not (line.indent < following.indent or (line.marked and not following.marked) or shown.startswith(("**", "#"))):
        return None
    return _head(rows, line, line.end)


def _lead(rows: Rows, line: Line, pairs: Sequence[Pair]) -> Pair | None:
    """Return what stands on a row's line before the first of its names."""
    before = rows.text[line.content : pairs[0][1]].rstrip(" \t:：=*_")
    label = max(
        [m.end() for m in _BETWEEN.finditer(before)] + [m.end() for m in _KEY_VALUE.finditer(before)], default=0
    )
    return _head(rows, line, line.content + label) if label else None


def _head(rows: Rows, line: Line, end: int) -> Pair | None:
    numbered = _NUMBERED.match(rows.text, line.content, end)
    start = numbered.end() if numbered else line.content
    end = start + len(rows.text[start:end].rstrip(" \t*_:,;|-–—("))
    is_marker = _MARKER.fullmatch(rows.text[start:end].strip(" *:_#"))
    return None if start >= end or is_marker else ("description", start, end, False)


def _is_description(rows: Rows, head: Pair, pairs: Sequence[Pair]) -> bool:
    """Return whether a cell without a name can be nothing but the description of its row."""
    columns = rows.names.column_names(rows.table)
    if "description" not in columns or any(column == "description" for column, *_ in pairs):
        return False
    return "date" not in columns or not find_dates(rows.text[head[1] : head[2]])


def _pairs(rows: Rows, line: Line) -> list[Pair]:
    """Return the columns named in a line and their cells."""
    keys: list[tuple[str, int, int]] = []
    edge = line.content
    for number, sep in enumerate(_KEY_VALUE.finditer(rows.text, line.content, line.end)):
        if number >= _MAX_SEPARATORS:
            break
        piece = rows.text[max(edge, sep.start() - 60) : sep.start()]
        cuts = [m.end() for m in _BETWEEN.finditer(piece)]
        cut = cuts[-1] if cuts else 0
        column = rows.names.column(piece[cut:], rows.table) if cuts or not keys else None
        if column:
            keys.append((column, sep.start() - len(piece) + cut, sep.end()))
            edge = sep.end()
    ends = [start for _, start, _ in keys[1:]] + [line.end]
    return [(c, value, _trimmed(rows.text, value, end), False) for (c, _, value), end in zip(keys, ends, strict=False)]


def _trimmed(text: str, start: int, end: int) -> int:
    shown = text[start:end].rstrip(" \t,;|-–—(")
    # the bracket that a row's names stand in closes behind its last value
    return start + len(shown) - (shown.endswith(")") and "(" not in shown)


def _separated(rows: Rows, lines: Sequence[Line], positional: bool) -> None:
    if any(rows.text[line.content : line.content + 1] in "[(" for line in lines):
        rows.whole = False
        return
    marks = [mark for mark in _CSV if all(mark in rows.text[line.content : line.end] for line in lines)]
    for mark in (*marks[:1], ""):
        cells = [_csv(rows.text, line, mark) if mark else _dashed(rows.text, line) for line in lines]
        widths = {len(row) for row in cells}
        if min(widths) > 1:
            delimited_rows(rows, cells, positional)
            return
    rows.whole = False


def _csv(text: str, line: Line, mark: str) -> list[Span]:
    cells: list[Span] = []
    position = line.content
    while position <= line.end and len(cells) < _MAX_CELLS:
        match = _CSV[mark].match(text, position, line.end)
        if match is None:
            return []
        cells.append(match.span(1) if match[1] is not None else match.span(2))
        if match.end() == line.end and text[match.end() - 1 : match.end()] != mark:
            break
        position = match.end()
        if match.end() == match.start():
            break
    return cells


def _dashed(text: str, line: Line) -> list[Span]:
    cells, first = [], line.content
    for match in re.finditer(r"\s[-–—]\s", text[line.content : line.end]):
        cells.append((first, line.content + match.start()))
        first = line.content + match.end()
    return [*cells, (first, line.end)][:_MAX_CELLS]


def _content(rows: Rows, line: Line) -> bool:
    return bool(rows.text[line.content : line.end].strip())


def _is_marker(text: str, line: Line) -> bool:
    return _MARKER.fullmatch(text[line.content : line.end].strip(" *:_#")) is not None


def _is_fence(text: str, line: Line) -> bool:
    return text[line.start : line.end].strip().startswith(("```", "~~~"))
