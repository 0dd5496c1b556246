"""Whether broker and blobs belong together: both carry the name of the same beginning. Knows store and blobs, no job.

A broker that came back empty looks like a service without jobs, for which no blob is needed any more. Its missing
epoch tells the two apart.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

from router.errors import BlobError, BlobMissingError, SettingsError
from workers.blobs import Blobs
from workers.store import Store

KIND, NAME = "epoch", "service"
TELL_EVERY_S = 600.0
_LOG = logging.getLogger(__name__)


def epoch_problem(store: Store, blobs: Blobs, begin: bool = False) -> str:
    """Return why the store cannot know what the blobs hold, empty where it does; `begin` one where there is no epoch.

    Raise `StoreError` or `BlobError` when one of them cannot be asked.
    """
    ours, theirs = blobs_epoch(blobs), store.epoch()
    if ours is None and not begin:
        return ""
    if ours is None:
        write_epoch(blobs, theirs or store.join_epoch(secrets.token_hex(8)))
        return ""
    if theirs is None:
        return (
            f"the broker came back empty, and does not know the jobs whose documents lie in {blobs.place}; "
            "docroute recover makes them anew"
        )
    if theirs != ours:
        return (
            f"the broker belongs to another service than the blobs in {blobs.place}, or to a later one; "
            "mend service.broker or service.blobs.url, or docroute recover brings them together"
        )
    return ""


def loss_of(store: Store, blobs: Callable[[], Blobs]) -> str:
    """Return what to add to the message of an unknown job: that the broker lost it, or nothing; raise `StoreError`."""
    try:
        problem = epoch_problem(store, blobs())
    except (BlobError, SettingsError):  # a client may do without blobs
        return ""
    return f"; {problem}" if problem else ""


def blobs_epoch(blobs: Blobs) -> str | None:
    """Return the epoch of the blobs; None where there is none yet."""
    try:
        return str(blobs.get_json(f"{KIND}/{NAME}.json")["epoch"])
    except BlobMissingError:
        return None
    except (LookupError, TypeError) as exc:
        raise BlobError(f"the blob {KIND}/{NAME}.json in {blobs.place} is damaged: it names no epoch") from exc


def write_epoch(blobs: Blobs, epoch: str) -> None:
    """Give the blobs an epoch."""
    blobs.put_json(KIND, NAME, {"epoch": epoch})


class EpochWatch:
    """Looks again and again, and tells the log at once and then every ten minutes."""

    def __init__(self, store: Store, blobs: Blobs, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._told_at: float | None = None

    def look(self) -> str:
        """Return what is wrong, empty when nothing is."""
        problem = epoch_problem(self._store, self._blobs, begin=True)
        if not problem:
            self._told_at = None
        elif self._told_at is None or self._clock() - self._told_at >= TELL_EVERY_S:
            self._told_at = self._clock()
            _LOG.error("%s; until then nothing is deleted", problem)
        return problem
