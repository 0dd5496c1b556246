"""Field schemas: the built-in ones and a user's own TOML or JSON file. Knows no document and no model.

A schema file names its fields; nothing else is needed:

    name = "delivery_note"
    version = "1"

    [[fields]]
    name = "note_number"
    kind = "identifier"          # text | date | period | amount | identifier | boolean | enum | table
    required = true
    labels = ["delivery note no", "lieferschein-nr"]   # words printed beside the value
    description = "Number of the delivery note"
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import Field, ValidationError, field_validator, model_validator

from router.errors import SchemaError
from router.types import FieldKind, Frozen

AUTO = "auto"
_MAX_SCHEMA_BYTES = 1_000_000


class FieldSpec(Frozen):
    """One field to extract. `pattern` is a regular expression that a value must match in full."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    kind: FieldKind
    required: bool = False
    description: str = ""
    pattern: str | None = None
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    columns: tuple[FieldSpec, ...] = ()

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as exc:
                raise ValueError(f"not a regular expression: {exc}") from exc
        return pattern

    @model_validator(mode="after")
    def _shape(self) -> FieldSpec:
        if self.kind == "table" and not self.columns:
            raise ValueError(f"table field {self.name!r} needs columns")
        if self.kind != "table" and self.columns:
            raise ValueError(f"field {self.name!r} has columns but is no table")
        if self.kind == "enum" and not self.values:
            raise ValueError(f"enum field {self.name!r} needs values")
        return self


class Schema(Frozen):
    """A named, versioned list of fields."""

    name: str
    version: str = "1"
    description: str = ""
    fields: tuple[FieldSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Schema:
        names = self.names()
        if len(set(names)) != len(names):
            raise ValueError("a field name is used twice")
        return self

    def names(self) -> tuple[str, ...]:
        """Return the field names in order."""
        return tuple(f.name for f in self.fields)

    def field(self, name: str) -> FieldSpec:
        """Return the specification of one field; raise `SchemaError` when the schema has no such field."""
        for spec in self.fields:
            if spec.name == name:
                return spec
        raise SchemaError(f"schema {self.name!r} has no field {name!r}; it has: {', '.join(self.names())}")


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in schemas, `auto` first."""
    folder = files("router.data")
    return (AUTO, *sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")))


@cache
def builtin(name: str) -> Schema:
    """Return a built-in schema by name (`auto` gives the union that the lanes narrow); raise `SchemaError`."""
    if name == AUTO:
        return _union([builtin(n) for n in builtin_names() if n != AUTO])
    if name not in builtin_names():
        raise SchemaError(
            f"unknown schema {name!r}; built in are {', '.join(builtin_names())}, or give a .toml/.json file"
        )
    return parse_schema((files("router.data") / f"{name}.toml").read_bytes(), f"{name}.toml")


def load_schema(name_or_path: str) -> Schema:
    """Return a built-in schema, or the one in a TOML or JSON file; raise `SchemaError` with the file and the cause."""
    path = Path(name_or_path)
    if path.suffix not in {".toml", ".json"}:
        return builtin(name_or_path)
    try:
        if path.stat().st_size > _MAX_SCHEMA_BYTES:
            raise SchemaError(f"{path}: schema file is larger than {_MAX_SCHEMA_BYTES} bytes")
        return parse_schema(path.read_bytes(), str(path))
    except OSError as exc:
        raise SchemaError(f"{path}: cannot read schema file: {exc.strerror}") from exc


def parse_schema(data: bytes, filename: str) -> Schema:
    """Return the schema in TOML or JSON bytes (told by the file name); raise `SchemaError`."""
    try:
        text = data.decode("utf-8")
        raw = json.loads(text) if filename.endswith(".json") else tomllib.loads(text)
        return Schema.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "schema"
        raise SchemaError(f"{filename}: {where}: {first['msg']}") from exc
    except (ValueError, RecursionError) as exc:
        raise SchemaError(f"{filename}: not valid {'JSON' if filename.endswith('.json') else 'TOML'}: {exc}") from exc


def _union(schemas: list[Schema]) -> Schema:
    fields: dict[str, FieldSpec] = {}
    for schema in schemas:
        for spec in schema.fields:
            fields.setdefault(spec.name, spec.model_copy(update={"required": False}))
    version = max((s.version for s in schemas), key=int)
    return Schema(name=AUTO, version=version, description="Chosen by the document", fields=tuple(fields.values()))
