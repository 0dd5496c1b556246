"""Schemas that jobs may name: the built-in ones and those in the folder of the settings. Knows no job and no queue.

A job names a schema by its bare name, never by a path: whoever submits must not choose which files a worker reads.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from router.errors import SchemaError
from router.schema import Schema, builtin, builtin_names, load_schema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUFFIXES = (".toml", ".json")


def find_schema(name: str, folder: str | None) -> Schema:
    """Return the schema of that name, one of the folder before a built-in one; raise `SchemaError`."""
    if not _NAME.fullmatch(name):
        raise SchemaError(f"{name[:80]!r} is no name of a schema; known are {', '.join(schema_names(folder))}")
    path = _path(name, folder)
    if path is not None:
        try:
            changed_ns = path.stat().st_mtime_ns
        except OSError as exc:
            raise SchemaError(f"{path}: cannot read schema file: {exc.strerror}") from exc
        return _loaded(str(path), changed_ns)
    if name not in builtin_names():
        raise SchemaError(f"unknown schema {name!r}; known are {', '.join(schema_names(folder))}")
    return builtin(name)


def schema_names(folder: str | None) -> tuple[str, ...]:
    """Return the names that jobs may use, sorted, `auto` first."""
    own = {path.stem for path in Path(folder).glob("*") if path.suffix in _SUFFIXES} if folder else set()
    built_in = builtin_names()
    return (built_in[0], *sorted(own.union(built_in[1:]) - {built_in[0]}))


def schema_digest(schema: Schema) -> str:
    """Return a hash of a schema's content: a changed schema makes other jobs of the same documents."""
    return _digest(schema.model_dump_json())


def _path(name: str, folder: str | None) -> Path | None:
    if folder is None:
        return None
    candidates = (Path(folder, name + suffix) for suffix in _SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


@lru_cache(maxsize=64)
def _loaded(path: str, changed_ns: int) -> Schema:
    """Return a file's schema, read again when the file has changed."""
    return load_schema(path)


@lru_cache(maxsize=64)
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
