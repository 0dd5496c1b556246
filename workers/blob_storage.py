"""The contract of a place for blobs. Knows names and bytes, not what they mean.

A name is seen whole or not at all: a folder gets a finished file by rename, a remote store gets one single put.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from router.errors import BlobError, BlobMissingError
from workers.redact import redact_text

TRASH = "trash"
"""The folder of what was removed and may still come back; a blob lies there under its own name."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Storage(Protocol):
    """Bytes under names such as `results/a.json`. Errors: `BlobError`, `BlobMissingError`."""

    place: str
    """For messages; without secrets."""

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Put bytes under a name, in place of what was there; `durable`: they outlast a power cut."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a name."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is such a name."""
        ...

    def refresh(self, name: str, data: bytes) -> None:
        """Make a name hold these bytes, its age counting from now."""
        ...

    def delete(self, name: str) -> None:
        """Remove a name; one that is not there is no error."""
        ...

    def clock(self) -> float | None:
        """Return the time by the clock that stamps blobs (seconds since the epoch); None where they get no stamp."""
        ...

    def trash_older(self, name: str, before: float) -> bool:
        """Move a name last written before a time (by that clock) to the trash, stamped anew; return whether it was."""
        ...

    def restore(self, name: str) -> bool:
        """Bring a name back from the trash; return whether it was there."""
        ...

    def clear_unfinished(self, before: float) -> None:
        """Remove what killed writers left before a time (by that clock)."""
        ...

    def changed(self, folder: str) -> Iterator[tuple[str, float]]:
        """Yield (name, when it was last written in seconds since the epoch) for all names below a folder."""
        ...

    def free_mb(self) -> int | None:
        """Return the free space; None where that is not known."""
        ...


@contextmanager
def translated(action: str, name: str, place: str) -> Iterator[None]:
    """Turn the errors of the operating system into `BlobError` and `BlobMissingError`."""
    try:
        yield
    except OSError as exc:
        if action == "read" and isinstance(exc, FileNotFoundError | NotADirectoryError):
            raise BlobMissingError(f"there is no blob {name} in {place}") from exc
        if exc.errno in _FULL:
            raise BlobError(f"no space left for blobs in {place}; free some, or move service.blobs.url") from exc
        reason = exc.strerror or str(exc) or type(exc).__name__
        raise BlobError(f"cannot {action} blob {name} in {place}: {redact_text(reason)}") from exc
