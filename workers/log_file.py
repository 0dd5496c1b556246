"""A log file that does not grow for ever and that its owner alone may read.

Knows no log format: it takes bytes as they come from a process.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

MAX_BYTES = 10_000_000
OLD_FILES = 2
LONGEST_LINE = 65_536
LAST_WORDS_S = 2.0
"""What a process has said before its end is in its log well within this."""
_TAIL_BYTES = 20_000


class LogFile:
    """Lines of a process; at 10 MB the file becomes `.1`, that `.2`, and what was `.2` goes."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._writer: threading.Thread | None = None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def follow(self, output: IO[bytes]) -> threading.Thread:
        """Start the thread that writes what a process says until it says no more."""
        thread = threading.Thread(target=self._run, args=(output,), name=f"log {self.path.name}", daemon=True)
        thread.start()
        self._writer = thread
        return thread

    def last_line(self) -> str:
        """Return the last line that says something, empty when there is none; for a process that has ended."""
        if self._writer is not None:
            self._writer.join(LAST_WORDS_S)
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _run(self, output: IO[bytes]) -> None:
        with output:
            while line := output.readline(LONGEST_LINE):
                with suppress(OSError):  # a full disk loses lines; to stop reading would hold the process up
                    self._write(line)

    def _write(self, line: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(line) > self._max_bytes:
            self._turn_over()
        with open(self.path, "ab", opener=_for_owner) as file:
            file.write(line)

    def _turn_over(self) -> None:
        for number in range(OLD_FILES, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
