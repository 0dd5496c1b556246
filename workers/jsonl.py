"""JSON lines written so that no reader ever meets half a line. Knows nothing of what the lines say.

Lines go to `NAME.partial`, each whole and flushed; on closing, after an error or Ctrl-C too, the file takes its name by
an atomic rename. So `NAME` is always a complete older run or a complete newer one, and a killed run leaves its lines in
`.partial`.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO

from router.errors import SettingsError

JSON_ERRORS = "backslashreplace"
"""How characters that UTF-8 cannot hold are written: as JSON escapes."""


class JsonLines:
    """A context manager that writes one JSON value a line; raises `SettingsError` where the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        special = path.exists() and not path.is_file()  # a pipe or /dev/stdout cannot be renamed onto
        self._partial = path if special else path.with_name(path.name + ".partial")
        self._file: IO[str] | None = None

    def __enter__(self) -> JsonLines:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("w", encoding="utf-8", errors=JSON_ERRORS, newline="\n")
        except OSError as exc:
            raise SettingsError(f"cannot write {self._path}: {exc.strerror}") from exc
        return self

    def write(self, value: object) -> None:
        """Append one line and flush it."""
        if self._file is None:
            raise RuntimeError("not opened")
        self._file.write(dump_line(value) + "\n")
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        self._file.close()
        if self._partial != self._path:
            self._partial.replace(self._path)


def dump_line(value: object) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
