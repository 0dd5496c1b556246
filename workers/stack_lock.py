"""One stack for a folder: a lock that the system gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from router.errors import StackError


class FolderLock:
    """Held until `release` or the end of the process; children do not inherit it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _close_to_others(folder)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StackError(f"cannot use the folder {folder}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip()
            os.close(self._handle)
            process = f" (process {holder})" if holder else ""
            raise StackError(f"docroute up runs in {folder} already{process}; stop that one, or use --folder") from exc
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let another stack use the folder."""
        os.close(self._handle)


def _close_to_others(folder: Path) -> None:
    """Keep other users out of a stack's folder, but never out of the one in which the user works."""
    here, place = Path.cwd(), folder.resolve()
    if place != here and place not in here.parents:
        folder.chmod(0o700)
