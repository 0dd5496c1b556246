"""Keeps a process from taking work whose result it could not write. Knows blobs, no job.

A worker with a full disk fails quickly, so it would take one job after the other and use up the attempts of all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from router.errors import BlobError

_LOG = logging.getLogger(__name__)


class StorageGuard:
    """After blobs have failed, lets no work begin before `check` succeeds. Safe for threads."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._doubted = False
        self._checking = threading.Lock()

    def doubt(self, exc: BlobError) -> None:
        """Note that blobs failed; one that is missing tells nothing about the others."""
        if exc.retryable and not self._doubted:
            _LOG.warning("no work is taken until blobs can be written again: %s", exc)
            self._doubted = True

    def require(self) -> None:
        """Raise `BlobError` while blobs fail."""
        if not self._doubted:
            return
        with self._checking:
            if self._doubted:
                self._check()
                _LOG.warning("blobs can be written again")
                self._doubted = False
