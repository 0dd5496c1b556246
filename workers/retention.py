"""Which blobs no job needs any more, and how they go: to the trash first. Knows store and blobs, no queue.

A blob goes when it is older than any retention and the store knows no job that needs it. Its age is a matter of
clocks, so that nothing is deleted while they disagree; the store's word is not, and both are asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from router.errors import PurgeRefusedError
from workers.blob_storage import TRASH
from workers.blobs import EXTRACTIONS, ORIGINALS, PROBES, RESULTS, Blobs, original_blob
from workers.clocks import trusted_now
from workers.epoch import epoch_problem
from workers.job_record import REQUESTS
from workers.jobs import FINAL, STATES
from workers.service_settings import RetentionSettings
from workers.store import Store

LEAST = 1000
SHARE = 0.25
"""So many blobs of a kind, or this share of them, may go in one round: what goes wrong takes hours and is seen."""
UNFINISHED_S = 86400.0
_BATCH = 500
_LOG = logging.getLogger(__name__)


class Retention:
    """Clears away, in rounds. `clock` is this machine's, compared with the store's before anything is done."""

    def __init__(
        self, store: Store, blobs: Blobs, settings: RetentionSettings, clock: Callable[[], float] | None = None
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._settings = settings
        self._clock = clock

    def run_once(self) -> int:
        """Return how many blobs went to the trash; what has lain there for its time is removed.

        Raise `PurgeRefusedError` when it cannot be told what is old or needed, `BlobError` or `StoreError`.
        """
        if problem := epoch_problem(self._store, self._blobs, begin=True):
            raise PurgeRefusedError(f"no blob is deleted: {problem}")
        now = trusted_now(self._store, self._blobs, self._clock)
        before = now - max(self._settings.finished_s, self._settings.dead_s)
        moved = self._paced(ORIGINALS, partial(self._blobs.purge, ORIGINALS, before, self._originals()))
        for kind in (EXTRACTIONS, RESULTS, REQUESTS, PROBES):
            moved += self._paced(kind, partial(self._blobs.purge, kind, before, self._of_jobs))
        removed = self._paced(TRASH, partial(self._blobs.empty_trash, now - self._settings.trash_s))
        self._blobs.clear_unfinished(now - UNFINISHED_S)
        if moved or removed:
            _LOG.info("%d blobs went to the trash of %s, %d were removed from it", moved, self._blobs.place, removed)
        return moved

    def _paced(self, kind: str, purge: Callable[[int], int]) -> int:
        """Return what `purge` did with the limit of a round; a kind is only counted when much of it goes."""
        moved = purge(LEAST)
        if moved < LEAST:
            return moved
        total = moved + sum(1 for _ in self._blobs.stamped(kind))
        moved += purge(max(0, int(SHARE * total) - moved))
        _LOG.warning("%d of %d %s in %s went at once", moved, total, kind, self._blobs.place)
        return moved

    def _of_jobs(self, blobs: Sequence[str]) -> set[str]:
        """Return those blobs, named after jobs, whose job the store still knows."""
        known = self._store.get_many(list({job_of(blob) for blob in blobs}))
        return {blob for blob in blobs if job_of(blob) in known}

    def _originals(self) -> Callable[[Sequence[str]], set[str]]:
        """Return what tells the originals that are needed; the store is asked for all jobs once, if at all."""
        needed: set[str] = set()

        def spared(blobs: Sequence[str]) -> set[str]:
            if not needed:
                needed.update(self._needed_originals())
            return needed.intersection(blobs)

        return spared

    def _needed_originals(self) -> set[str]:
        """Return those of jobs that have not ended, or that failed and may be revived."""
        found = {""}
        for state in (state for state in STATES if state not in FINAL or state == "failed"):
            offset = 0
            while offset < self._store.counts()[state]:  # a part may be empty: those that have expired are passed over
                jobs = self._store.jobs(state=state, order="newest", limit=_BATCH, offset=offset)
                found.update(original_blob(job.spec.document_id) for job in jobs)
                offset += _BATCH
        return found


def job_of(blob: str) -> str:
    """Return the id of the job after which a blob such as `results/ID.1.json` is named."""
    return blob.rpartition("/")[2].partition(".")[0]
