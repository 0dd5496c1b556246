"""Command-line arguments -> files to read. Knows the file system, not what is in a document."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from router.documents.sniff import media_type
from router.errors import DocumentError, SettingsError

DOCUMENT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".webp", ".heic", ".heif", ".pdf"})
SNIFF_BYTES = 4096
STDIN = "-"


@dataclass(frozen=True)
class FoundPaths:
    """The files to read, in order and without repeats, and how many files of folders are no documents."""

    paths: tuple[Path, ...]
    skipped: int


def find_paths(arguments: Iterable[str], stdin: Iterable[str]) -> FoundPaths:
    """Return the files that arguments name: files, folders (searched to the bottom, sorted), globs, `-` for a list on
    stdin.

    A file named outright is always read, so that a wrong one is reported. In a folder, a file counts when its first
    bytes are a document's or its name says so: a broken picture is reported, a README is skipped. Raises
    `SettingsError` when nothing is left to read.
    """
    found: dict[Path, None] = {}
    skipped = 0
    arguments = list(arguments)
    for path, named in _arguments(arguments, stdin):
        if named or path in found or path.suffix.lower() in DOCUMENT_SUFFIXES or _is_document(_head(path)):
            found[path] = None
        else:
            skipped += 1
    if not found:
        raise SettingsError("nothing to read: no document in " + ", ".join(arguments))
    return FoundPaths(tuple(found), skipped)


def _arguments(arguments: Iterable[str], stdin: Iterable[str]) -> Iterator[tuple[Path, bool]]:
    """Give each path and whether it was named outright (a folder's files are not)."""
    for argument in arguments:
        if argument == STDIN:
            lines = (line.strip("\r\n") for line in stdin)
            yield from _arguments((line for line in lines if line.strip() and line != STDIN), ())
            continue
        path = Path(argument)
        if has_magic(argument) and not path.exists():
            matches = sorted(glob(argument, recursive=True)) or [argument]  # noqa: PTH207 (takes absolute patterns)
            for match in map(Path, matches):
                yield from ((p, False) for p in _walk(match)) if match.is_dir() else [(match, True)]
        elif path.is_dir():
            yield from ((p, False) for p in _walk(path))
        else:
            yield path, True


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _is_document(head: bytes) -> bool:
    try:
        media_type(head)
    except DocumentError:
        return False
    return True


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SNIFF_BYTES)
    except OSError:
        return b""
