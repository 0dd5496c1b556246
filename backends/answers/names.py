"""A key as a model wrote it -> the field or column that it means. Knows names, not values or forms of answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.answers.other_names import (
    COLUMNS,
    CONTEXTS,
    LESSER_NAMES,
    OTHER_NAMES,
    PARTY_WORDS,
    SECTIONS,
)
from router.errors import SchemaError
from router.schema import AUTO, FieldSpec, Schema, builtin

_MAX_KEY_CHARS = 80
_BRACKET = re.compile(r"\(([^()]{0,60})\)")
_NET = re.compile(r"\b(?:ex|exc|excl|excluding|exclusive|before|without|net)\b", re.IGNORECASE)
_MARKUP = re.compile(r"</?(?:b|strong|i|em|u|span|code)>", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\s_\-./&,]+")
_LEAD = re.compile(r"^(?:the|field|key|is|are)\s+")
_TAIL = re.compile(r"(?:\s+(?:of|on) (?:the|this) (?:invoice|document|receipt|statement)|'s|\?| value)$")
_DESCRIBES = re.compile(r"\b(?:descriptions?|items?|products?|goods|services?|details|particulars|articles?)\b")
EXACT, OTHER, LESSER = 3, 2, 1
"""How sure a name is: the schema's own, another usual one, one that counts only where no better stands."""


@dataclass(frozen=True)
class Meaning:
    """The field a key means and how sure that is."""

    field: str
    strength: int


class Names:
    """The names of the wanted fields, of their columns, and of the fields that are known but not wanted."""

    def __init__(self, wanted: Sequence[str], schema: Schema | None) -> None:
        known = {spec.name: spec for spec in (builtin(AUTO).fields if schema is None else schema.fields)}
        self._specs = {name: known.get(name) or _unknown(name) for name in wanted}
        self._own = {plain(name): name for name in (*_all_builtin(), *known, *wanted)}
        self._labels = _labels([spec for spec in self._specs.values() if spec.name not in _all_builtin()])
        self.tables = tuple(name for name, spec in self._specs.items() if spec.kind == "table")
        self._columns = {name: _column_names(self._specs[name]) for name in self.tables}

    def spec(self, name: str) -> FieldSpec | None:
        """Return the specification of a wanted field, None for one that nobody asked for."""
        return self._specs.get(name)

    def field(self, key: str, context: str | None = None) -> Meaning | None:
        """Return what a key means inside a part of the answer; None where that is not plain."""
        if len(key) > _MAX_KEY_CHARS:
            return None
        for name in _readings(key):
            if name in self._own:
                return Meaning(self._own[name], EXACT)
            told, found = _in_context(name, context)
            if told:
                return found
            if name in self._labels:
                return Meaning(self._labels[name], OTHER)
            if name in PARTY_WORDS:
                continue
            for names, strength in ((OTHER_NAMES, OTHER), (LESSER_NAMES, LESSER)):
                if name in names:
                    return Meaning(names[name], strength)
        return None

    def column(self, key: str, table: str) -> str | None:
        """Return the column of a table that a key or a header cell means."""
        if len(key) > _MAX_KEY_CHARS:
            return None
        readings = [*_readings(key), plain(_BRACKET.sub(" ", key))]
        return next((self._columns[table][n] for n in readings if n in self._columns[table]), None)

    def columns(self, keys: Sequence[str], table: str) -> list[str | None]:
        """Return the column of each key; of several keys for one column, the one with its own name, not a net one."""
        told = [self.column(key, table) for key in keys]
        if "description" not in told and "description" in self.column_names(table):
            place = next((i for i, key in enumerate(keys) if not told[i] and _DESCRIBES.search(plain(key))), None)
            told = [one if i != place else "description" for i, one in enumerate(told)]
        for column in {c for c in told if c and told.count(c) > 1}:
            places = [i for i, one in enumerate(told) if one == column]
            own = [i for i in places if plain(keys[i]) == plain(column)] or [
                i for i in places if not _NET.search(keys[i])
            ]
            kept = own[0] if len(own) == 1 or column == "description" else None
            told = [None if i in places and i != kept else one for i, one in enumerate(told)]
        return told

    def column_names(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table in the schema's order."""
        spec = self._specs[table]
        return tuple(column.name for column in spec.columns)

    def best_table(self, keys: Sequence[str], least: int = 2) -> str | None:
        """Return the wanted table most of whose columns are among the keys, None for fewer than `least`."""
        count = {t: len({c for key in keys if (c := self.column(key, t))}) for t in self.tables}
        best = max(count, key=lambda table: count[table], default=None)
        if best is None or count[best] < least:
            return None
        return best if sum(n == count[best] for n in count.values()) == 1 else None


def section(key: str) -> str | None:
    """Return the context that a heading or an object's key opens."""
    return next((SECTIONS[n] for n in _readings(key) if n in SECTIONS), None) if len(key) <= _MAX_KEY_CHARS else None


def plain(key: str) -> str:
    """Return a key in lower case with single blanks, without marks, articles and escapes."""
    key = _MARKUP.sub("", key) if "<" in key else key
    key = _CAMEL.sub(" ", key.replace("\\", "").replace("\u2019", "'")).strip(" \t\r\n\ufeff\u200b*_`\"'>[]<•:-")
    key = key.replace("#", " no ")
    key = " ".join(_BETWEEN.sub(" ", key.casefold()).split())
    return _TAIL.sub("", _LEAD.sub("", key)).replace("'s ", " ").strip(" *`\"'")


def _readings(key: str) -> list[str]:
    """A bracket is read as a part of the name first; what it says of tax may not be left out."""
    with_bracket = plain(_BRACKET.sub(r" \1 ", key))
    if "(" not in key:
        return [with_bracket]
    without = plain(_BRACKET.sub(" ", key))
    net = any(_NET.search(m[1]) for m in _BRACKET.finditer(key))
    return [with_bracket] if net else [without, with_bracket]


def _in_context(name: str, context: str | None) -> tuple[bool, Meaning | None]:
    for field, words in CONTEXTS.get(context or "", {}).items():
        if name in words.split("|"):
            return True, Meaning(field, OTHER) if field else None
    return False, None


def _all_builtin() -> tuple[str, ...]:
    return builtin(AUTO).names()


def _unknown(name: str) -> FieldSpec:
    try:
        return builtin(AUTO).field(name)
    except SchemaError:
        return FieldSpec(name=name, kind="text")


def _labels(specs: Sequence[FieldSpec]) -> Mapping[str, str]:
    """Labels of a user's own fields; one that two fields share means neither."""
    found: dict[str, str] = {}
    shared = set()
    for spec in specs:
        for label in map(plain, spec.labels):
            shared |= {label} if found.setdefault(label, spec.name) != spec.name else set()
    return {label: name for label, name in found.items() if label not in shared}


def _column_names(spec: FieldSpec) -> dict[str, str]:
    own = {plain(column.name): column.name for column in spec.columns}
    labels = {plain(label): column.name for column in spec.columns for label in column.labels}
    others: dict[str, str] = {}
    for names in (COLUMNS.get(spec.name), *COLUMNS.values()):
        if names and (names is COLUMNS.get(spec.name) or spec.name not in COLUMNS):
            for column, words in names.items():
                if column in own.values():
                    others |= {word: column for word in words.split("|") if word not in others}
    return others | labels | own
