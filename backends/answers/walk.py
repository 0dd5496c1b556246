"""Nested pieces -> candidates for fields. Knows keys, contexts and rows; not how the pieces were written."""

from __future__ import annotations

from backends.answers.answer import Answer
from backends.answers.candidates import Found
from backends.answers.names import EXACT, OTHER, Meaning, Names, section
from backends.answers.piece import Piece
from backends.answers.rows import Rows, keys_of, piece_rows
from backends.answers.values import read_value
from router.schema import FieldSpec

_VALUE_KEYS = ("value", "raw", "text", "answer", "content", "amount")
_FIELD_KEYS = ("field", "name", "key", "field_name", "field name", "label")
_PARTIES = {"supplier_name": "supplier", "payer_name": "payer"}


class Walker:
    """Collects what an object or a list says of the wanted fields."""

    def __init__(self, text: str, names: Names, found: Found) -> None:
        self._text, self._names, self._found = text, names, found

    def walk(self, piece: Piece, context: str | None = None) -> None:
        """Look at every member of a piece."""
        if piece.kind == "list":
            self._list(piece, context)
        elif piece.kind == "object":
            self._object(piece, context)

    def table_of(self, piece: Piece) -> str | None:
        """Return the table whose row, or list of rows, a piece is."""
        if piece.kind == "object" and any(member.kind == "list" and member.members for _, member in piece.members):
            return None  # a row's cells hold no lists: this is the document with its rows inside
        keys = keys_of(piece)
        exact = [m for key in keys if (m := self._names.field(key)) and m.strength == EXACT]
        table = self._names.best_table(keys)
        columns = set(self._names.column_names(table)) if table else set()
        return table if table and not [m for m in exact if m.field not in columns] else None

    def value(self, meaning: Meaning, at: int, piece: Piece) -> None:
        """Keep what a piece says of a field."""
        spec = self._names.spec(meaning.field)
        if spec is None:
            self._found.dropped += 1
        elif spec.kind == "table":
            self._found.add(meaning, at, self.table(spec.name, piece))
        else:
            self._found.add(meaning, at, self._plain(spec, piece))

    def table(self, table: str, piece: Piece) -> Answer | None:
        """Return the rows that a piece has for a table."""
        if piece.kind == "text":
            spec = self._names.spec(table)
            answer = spec and piece.closed and read_value(self._text, piece.start, piece.end, spec, piece.quoted)
            return answer if answer and answer.raw is None else None
        if piece.kind == "list" and not piece.members and piece.closed:
            return Answer(None, piece.start, piece.end)
        rows = Rows(self._text, table, self._names)
        piece_rows(rows, piece)
        return rows.answer(piece.start, piece.end)

    def _list(self, piece: Piece, context: str | None) -> None:
        table = self.table_of(piece)
        if table:
            self._found.add(Meaning(table, OTHER), piece.start, self.table(table, piece))
            return
        first = len(self._found.candidates)
        for _, member in piece.members:
            self.walk(member, context)
        self._found.leave_open_contradictions(first)

    def _object(self, piece: Piece, context: str | None) -> None:
        named, value = piece.get(*_FIELD_KEYS), piece.get(*_VALUE_KEYS)
        if named and value and named.kind == "text":
            meaning = self._names.field(self._text[named.start : named.end], context)
            if meaning:
                self.value(meaning, named.start, value)
                return
        for key, member in piece.members:
            context = self._member(key, member, context)

    def _member(self, key: str, piece: Piece, context: str | None) -> str | None:
        """Look at one member; return the context of those behind it."""
        meaning, opened = self._names.field(key, context), section(key)
        if piece.kind == "text":
            if meaning is None:
                self._found.dropped += 1
            else:
                self.value(meaning, piece.start, piece)
                return _PARTIES.get(meaning.field, context)
            return context
        spec = self._names.spec(meaning.field) if meaning else None
        if meaning and spec and self._is_value(meaning, spec, piece):
            self.value(meaning, piece.start, piece)
        elif piece.kind == "object" and meaning and meaning.strength == EXACT and spec is None:
            self._found.dropped += 1
        else:
            self.walk(piece, opened)
        return context

    def _is_value(self, meaning: Meaning, spec: FieldSpec, piece: Piece) -> bool:
        if spec.kind == "table" or piece.kind == "list":
            return spec.kind == "table" or all(member.kind == "text" for _, member in piece.members)
        return piece.get(*_VALUE_KEYS) is not None or meaning.strength == EXACT or _is_joinable(spec)

    def _plain(self, spec: FieldSpec, piece: Piece) -> Answer | None:
        if piece.kind == "text":
            return read_value(self._text, piece.start, piece.end, spec, piece.quoted) if piece.closed else None
        if not piece.closed:
            return None
        if piece.kind == "object" and (inner := piece.get(*_VALUE_KEYS)) is not None:
            return self._plain(spec, inner) if inner.kind == "text" else None
        members = [member for _, member in piece.members]
        if not all(member.kind == "text" and member.closed for member in members):
            return None
        if len(members) == 1:
            return self._plain(spec, members[0])
        return self._joined(spec, members) if _is_joinable(spec) else None

    def _joined(self, spec: FieldSpec, members: list[Piece]) -> Answer | None:
        """The lines of an address or the two ends of a period, as one value."""
        text = FieldSpec(name=spec.name, kind="text")
        parts = [read_value(self._text, m.start, m.end, text, m.quoted) for m in members]
        told = [part for part in parts if part and part.raw]
        between = ", " if spec.kind == "text" and "period" not in spec.name else " - "
        if not told or (between == " - " and len(told) != 2):
            return None
        return Answer(between.join(part.raw or "" for part in told), told[0].start, told[-1].end)


def _is_joinable(spec: FieldSpec) -> bool:
    return "address" in spec.name or "period" in spec.name
