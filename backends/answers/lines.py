"""Lines of an answer -> candidates: names with values, tables, and the bodies of tables. Knows no single field.

Goes through the lines once. A key owns what follows it up to the next key; running prose belongs to no key.
"""

from __future__ import annotations

import re

from backends.answers.answer import Answer
from backends.answers.bodies import body_rows
from backends.answers.candidates import Found
from backends.answers.keys import Key, Line, inline_rows, key_at, line_at, looks_like_a_key, more_keys, split_lines
from backends.answers.names import EXACT, OTHER, Meaning, Names
from backends.answers.objects import ObjectReader, opens
from backends.answers.piece import Piece
from backends.answers.pipes import PipeReader, finished
from backends.answers.rows import Rows, piece_rows
from backends.answers.values import read_value
from backends.answers.walk import Walker

MAX_LINES = 20_000
_MAX_BROKEN, _MAX_BROKEN_LINES = 8, 200
_VALUE = re.compile(r"\s*(?:[-*•+]\s+)?\**(?:VALUE|Value|value|ANSWER|Answer)\**\s*[:=]\s*")
_BRACE = re.compile(r"[{\[]")
_CHATTER = re.compile(
    r"(?:\(?note\b|please|let me|i hope|if you|these|this|the above|here|wait|however|sure|okay|```|---|\*\*note)",
    re.IGNORECASE,
)
_PARTIES = {"supplier_name": "supplier", "payer_name": "payer"}


class LineReader:
    """Reads text[start:end]; `truncated` says that the text was cut off at its end."""

    def __init__(self, text: str, span: tuple[int, int], names: Names, found: Found, truncated: bool) -> None:
        self._text, (self._start, self._end) = text, span
        self._names, self._found, self._cut = names, found, truncated and not text.endswith("\n")
        self._truncated = truncated
        self._walker = Walker(text, names, found)
        self._lines = split_lines(text, self._start, self._end, MAX_LINES)
        self._objects = ObjectReader(text, self._end)
        self._context: str | None = None
        self._broken = 0
        self._pipes = PipeReader(text, names, found, truncated, self._end)
        self._loose: dict[str, tuple[int, Rows]] = {}

    def read(self) -> None:
        """Go through all lines."""
        number = 0
        while number < len(self._lines):
            number = self._line(number)
        for table, (start, rows) in self._loose.items():
            rows.whole &= not self._truncated
            self._found.add(Meaning(table, OTHER), start, rows.answer(start, rows.rows[-1].end) if rows.rows else None)

    def read_as_body(self, table: str) -> None:
        """Read all lines as the rows of one table, for an answer that has nothing but rows."""
        rows = self._rows(table)
        rows.cut, rows.whole = self._truncated, not self._truncated
        body_rows(rows, self._finished(self._lines), positional=len(self._names.tables) == 1)
        answer = rows.answer(self._start, self._end)
        self._found.add(Meaning(table, OTHER), self._start, answer)

    def _line(self, number: int) -> int:
        """Read what begins at a line; return the number of the line where reading goes on."""
        line = self._lines[number]
        shown = self._text[line.content : line.end].strip()
        if not shown or shown.startswith(("```", "~~~", "</")):
            return number + 1
        if opens(self._text, line.content):
            return self._piece(line.content)
        if shown.startswith("|"):
            return self._pipes.read(self._lines, number)
        key = key_at(self._text, line, self._names, self._context)
        if key is not None:
            return self._key(number, key)
        brace = next((m.start() for m in _BRACE.finditer(self._text, line.content, min(line.end, line.content + 200))
                      if opens(self._text, m.start())), None)  # fmt: skip
        if brace is not None:
            return self._piece(brace)
        return self._pipes.read(self._lines, number) if "|" in shown else number + 1

    def _piece(self, start: int) -> int:
        piece, end = self._objects.read(start)
        table = self._walker.table_of(piece) if piece.kind == "object" else None
        if table:
            if piece.closed:
                _, rows = self._loose.setdefault(table, (start, Rows(self._text, table, self._names)))
                piece_rows(rows, piece)
            elif table in self._loose:
                self._loose[table][1].whole = False
        else:
            self._walker.walk(piece)
        return self._number_behind(end)

    def _key(self, number: int, key: Key) -> int:
        line = self._lines[number]
        empty = not self._text[key.value : line.end].strip(' *`"')
        if key.opens and (empty or key.bare):
            self._context = key.opens
        if key.meaning is None:
            self._found.dropped += not key.opens
            return number + 1
        spec = self._names.spec(key.meaning.field)
        if spec is not None and spec.kind == "table":
            return self._table(number, key, spec.name)
        if not empty and opens(self._text, key.value):
            piece, end = self._objects.read(key.value)
            self._walker.value(key.meaning, key.start, piece)
            return self._behind(number, piece, end)
        if empty:
            return self._below(number, key)
        return self._values(number, key)

    def _values(self, number: int, key: Key) -> int:
        """Read the values of a line: of its first key, and of the others behind it."""
        line = self._lines[number]
        context = _PARTIES.get(key.meaning.field, self._context) if key.meaning else self._context
        keys = [key, *more_keys(self._text, key.value, line.end, self._names, context)]
        ends = [following.start for following in keys[1:]] + [line.end]
        behind = number + 1
        for one, end in zip(keys, ends, strict=True):
            spec = self._names.spec(one.meaning.field) if one.meaning else None
            if one.meaning is None or spec is None:
                self._found.dropped += 1
                continue
            if end == line.end and spec.kind == "text":
                behind = self._continued(number + 1, "address" in spec.name)
                end = self._lines[behind - 1].end
            start = one.value
            if end < line.end:
                end = start + len(self._text[start:end].rstrip(" ,;|\t-*"))
            answer = self._answer(spec.name, start, end)
            self._found.add(one.meaning, one.start, answer)
            if answer is None or answer.raw is not None:
                self._context = _PARTIES.get(one.meaning.field, self._context)
        return behind

    def _below(self, number: int, key: Key) -> int:
        """Read the value of a key that has nothing on its line: it may stand on the next one."""
        assert key.meaning is not None
        spec = self._names.spec(key.meaning.field)
        following = number + 1
        while following < len(self._lines) and following < number + 3 and self._is_blank(following):
            following += 1
        if spec is None or following >= len(self._lines):
            return number + 1
        line = self._lines[following]
        value = _VALUE.match(self._text, line.start, line.end)
        start = value.end() if value else line.content
        if value is None and (
            key_at(self._text, line, self._names, self._context)
            or opens(self._text, line.content)
            or looks_like_a_key(self._text, line)
            or _CHATTER.match(self._text, line.content)
            or "|" in self._text[line.content : line.end]
        ):
            return number + 1
        behind = self._continued(following + 1, False) if spec.kind == "text" else following + 1
        self._found.add(key.meaning, key.start, self._answer(spec.name, start, self._lines[behind - 1].end))
        self._context = _PARTIES.get(key.meaning.field, self._context)
        return behind

    def _continued(self, number: int, colons: bool) -> int:
        """Return the number of the line behind a value that may run over several lines."""
        first = number
        while number < len(self._lines) and number < first + 6:
            line = self._lines[number]
            shown = self._text[line.content : line.end].strip()
            if (
                not shown
                or line.marked
                or shown.startswith(("|", "<", "{", "[", "**", '"', "`"))
                or _CHATTER.match(shown)
                or (shown.endswith((".", "!")) and len(shown.split()) > 7)
                or (not colons and looks_like_a_key(self._text, line))
                or key_at(self._text, line, self._names, self._context)
            ):
                break
            number += 1
        return number

    def _answer(self, field: str, start: int, end: int) -> Answer | None:
        spec = self._names.spec(field)
        if spec is None or (self._cut and end >= self._end):
            return None
        if self._truncated and "address" in field and not self._text[end : self._end].strip():
            return None  # it may go on in the line behind the cut
        return read_value(self._text, start, end, spec)

    def _table(self, number: int, key: Key, table: str) -> int:
        assert key.meaning is not None
        line, rows = self._lines[number], self._rows(table)
        if opens(self._text, key.value):
            piece, end = self._objects.read_all(key.value)
            self._found.add(key.meaning, key.start, self._walker.table(table, piece))
            return self._behind(number, piece, end)
        spec = self._names.spec(table)
        absent = spec and self._text[key.value : line.end].strip() and self._answer_absent(table, key.value, line.end)
        last = self._body_end(number + 1, table, line.indent)
        body = self._lines[number + 1 : last]
        if absent:
            self._found.add(key.meaning, key.start, absent)
            return number + 1
        first = next((one for one in body if self._text[one.content : one.end].strip(" `")
                      and not self._text[one.start:one.end].strip().startswith("```")), None)  # fmt: skip
        if first and opens(self._text, first.content) and self._text[first.content] == "[":
            piece, end = self._objects.read(first.content)
            self._found.add(key.meaning, key.start, self._walker.table(table, piece))
            return self._behind(number, piece, end)
        if self._text[key.value : line.end].strip(" *`"):
            first = line_at(self._text, key.value, line.end)
            body = [*inline_rows(self._text, first), *body]
        rows.cut = self._truncated and last == len(self._lines)
        body_rows(rows, self._finished(body))
        rows.whole &= not rows.cut
        if first:
            self._found.add(key.meaning, key.start, rows.answer(first.start, body[-1].end))
        return max(number + 1, last)

    def _answer_absent(self, table: str, start: int, end: int) -> Answer | None:
        if self._cut and end >= self._end:
            return None
        spec = self._names.spec(table)
        answer = read_value(self._text, start, end, spec) if spec else None
        return answer if answer and answer.raw is None else None

    def _body_end(self, number: int, table: str, indent: int) -> int:
        """Return the number of the line that belongs to the table no more."""
        seen: set[str] = set()
        blank = piped = False
        while number < len(self._lines):
            line = self._lines[number]
            shown = self._text[line.content : line.end].strip()
            if not shown:
                blank, number = True, number + 1
                continue
            piped = piped or shown.startswith("|")
            if not shown.startswith("|") and not opens(self._text, line.content):
                key = key_at(self._text, line, self._names, self._context)
                column = self._names.column(self._text[line.content : line.end].partition(":")[0], table)
                if key and (piped or not self._in_row(key, line, column, blank, indent, seen)):
                    return number
                if _CHATTER.match(shown) and not column and not shown.startswith("```"):
                    return number
                seen |= {column} if column else set()
            blank, number = False, number + 1
        return number

    def _in_row(self, key: Key, line: Line, column: str | None, blank: bool, indent: int, seen: set[str]) -> bool:
        deeper = line.indent > indent
        if not seen and not deeper and key.meaning and self._names.spec(key.meaning.field):
            return False  # no row has begun: what stands beside the table's name is a field
        if column is None:
            if key.meaning is None:
                return deeper or key.opens is None
            return deeper and key.meaning.strength != EXACT
        if "_" in key.label and key.meaning and key.meaning.strength == EXACT and key.meaning.field not in seen:
            return deeper
        return deeper or line.marked or not (blank and column in seen and bool(key.meaning))

    def _rows(self, table: str) -> Rows:
        return Rows(self._text, table, self._names)

    def _finished(self, lines: list[Line]) -> list[Line]:
        return finished(lines, self._cut, self._end)

    def _is_blank(self, number: int) -> bool:
        line = self._lines[number]
        return not self._text[line.start : line.end].strip(" \t`")

    def _behind(self, number: int, piece: Piece, end: int) -> int:
        """Return the line behind a piece; behind a broken one, the next that begins with a field's own name."""
        following = self._number_behind(end)
        if not piece.closed and self._broken < _MAX_BROKEN:
            self._broken += 1
            for one in range(number + 1, min(following, number + _MAX_BROKEN_LINES)):
                key = key_at(self._text, self._lines[one], self._names, None)
                if key and key.meaning and key.meaning.strength == EXACT and self._text[key.start] not in "\"'{[":
                    return one
        return max(number + 1, following)

    def _number_behind(self, position: int) -> int:
        """Return the number of the first line that begins at or behind a position."""
        low, high = 0, len(self._lines)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._lines[middle].start < position else (low, middle)
        return low
