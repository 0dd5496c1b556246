"""Waiting for jobs to end: some of them, or all as they come. Knows the store, no queue, blob or document."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from router.errors import StoreError, UnknownJobError
from workers.jobs import Job
from workers.store import Store

FEW_JOBS = 100
"""Up to so many are asked for one by one; of more, only those that ended are looked at."""
BATCH = 500
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5
LOOK_AT_ALL_S = 30.0
AWAY_S = 60.0
"""A store that answered once may be away for so long, as in a restart, before waiting for it is given up."""
Answer = TypeVar("Answer")


@dataclass
class Pause:
    """Waits between looks, longer each time that nothing has happened."""

    seconds: float = FIRST_PAUSE_S

    def after(self, found: bool, until: float | None = None) -> bool:
        """Sleep; return False at once when `until` (monotonic seconds) has passed."""
        self.seconds = FIRST_PAUSE_S if found else min(2 * self.seconds, LONGEST_PAUSE_S)
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return False
        time.sleep(self.seconds if left is None else min(self.seconds, left))
        return True


def patiently(ask: Callable[[], Answer], until: float | None = None) -> Answer:
    """Return what `ask` returns, asked again while the store is away; raise `StoreError` after a minute or `until`."""
    give_up_at = min(time.monotonic() + AWAY_S, math.inf if until is None else until)
    while True:
        try:
            return ask()
        except StoreError:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(LONGEST_PAUSE_S)


@dataclass
class Ended:
    """A place in the list of jobs by the time of their end; `since` is by the store's clock, in seconds."""

    store: Store
    since: float
    _given: set[str] = field(default_factory=set)

    def next_jobs(self) -> list[Job]:
        """Return the next jobs that ended, at most 500; empty when there are no others yet."""
        found = self.store.finished(self.since, BATCH)
        new = [job for job in found if job.id not in self._given]
        last = found[-1].finished_at if found else None
        if last is not None:
            # Those that ended in the same microsecond come again.
            self._given = {job.id for job in found if job.finished_at == last} | (
                self._given if last == self.since else set()
            )
            self.since = last
        return new


def follow(store: Store, since: float, until: float | None) -> Iterator[Job]:
    """Yield jobs as they end, from `since` on (the store's seconds) until a monotonic time, for ever when None."""
    ended, pause = Ended(store, since), Pause()
    while True:
        found = patiently(ended.next_jobs, until)
        yield from found
        if not pause.after(bool(found), until):
            return


def as_finished(store: Store, job_ids: Iterable[str], until: float | None) -> Iterator[Job]:
    """Yield each of some jobs once, as it ends, until a monotonic time.

    Raise `UnknownJobError`, after those that have ended, when a job is not there or its retention ended meanwhile.
    """
    pending = dict.fromkeys(job_ids)
    ended, pause = Ended(store, store.now()), Pause()
    looked_at = float("-inf")
    while pending:
        unknown: list[str] = []
        if len(pending) <= FEW_JOBS or time.monotonic() - looked_at > LOOK_AT_ALL_S:
            final, unknown = patiently(partial(_look_at_all, store, list(pending)), until)
            looked_at = time.monotonic()
        else:
            final = [job for job in patiently(ended.next_jobs, until) if job.id in pending]
        for job in final:
            del pending[job.id]
            yield job
        if unknown:
            raise UnknownJobError(unknown_jobs(unknown))
        if pending and not pause.after(bool(final), until):
            return


def _look_at_all(store: Store, job_ids: list[str]) -> tuple[list[Job], list[str]]:
    """Return those jobs that are final, and the ids that are not known."""
    final: list[Job] = []
    unknown: list[str] = []
    for first in range(0, len(job_ids), BATCH):
        part = job_ids[first : first + BATCH]
        jobs = store.get_many(part)
        unknown += [job_id for job_id in part if job_id not in jobs]
        final += [job for job in jobs.values() if job.is_final]
    return final, unknown


def unknown_jobs(job_ids: list[str]) -> str:
    """Return the message for jobs that are not there."""
    names = ", ".join(job_id[:64] for job_id in job_ids[:3]) + (", …" if len(job_ids) > 3 else "")
    return (
        f"no such job: {names}; it was never submitted here, or its retention is over (docroute list shows the others)"
    )
