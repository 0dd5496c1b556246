"""JSON lines written so that no reader ever meets half a line. Knows nothing of what the lines say.

Lines go to `NAME.partial`, each whole and flushed; on closing, after an error or Ctrl-C too, the file takes its name by
an atomic rename. So `NAME` is always a complete older run or a complete newer one, and a killed run leaves its lines in
`.partial`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import TracebackType
from typing import IO

from router.errors import SettingsError

_OBEYED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
"""What a terminal or a reader of lines would obey, or nobody sees: controls of C1 and of direction, line separators."""
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
    """Return a value as one line of JSON; what a terminal would obey is escaped, which no reader of JSON notices."""
    return escaped(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def escaped(text: str) -> str:
    """Return JSON with the controls that it may hold, though not C0's, as escapes."""
    return _OBEYED.sub(lambda found: json.dumps(found.group())[1:-1], text)
