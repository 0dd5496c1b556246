"""What a stack is doing, over time: how things stand, jobs a minute, the last results. Knows no terminal."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from router.errors import DocrouteError
from workers.jobs import FINAL, Job
from workers.queue_watch import QueueWatch, ServiceSight
from workers.store import Store

EVERY_S = 1.0
WINDOW_S = 60.0
STOP_S = 2.0
RESULTS = 6


@dataclass(frozen=True)
class Beat:
    """One look. `sight` is None where the broker did not answer; `problem` says so in words."""

    sight: ServiceSight | None = None
    per_minute: float = 0.0
    results: tuple[Job, ...] = ()
    problem: str = ""

    @property
    def ended(self) -> int:
        """How many jobs have ended."""
        return sum(count for state, count in self.sight.jobs.items() if state in FINAL) if self.sight else 0

    @property
    def running(self) -> int:
        """How many jobs have not."""
        return sum(self.sight.jobs.values()) - self.ended if self.sight else 0


class Pulse:
    """Looks at a service now and then, from a thread: a broker that hangs must not hold up who waits for signals."""

    def __init__(self, watch: QueueWatch, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch = watch
        self._store = store
        self._clock = clock
        self._ended: deque[tuple[float, int]] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self.beat = Beat()
        """The last look."""

    def start(self) -> None:
        """Look every second."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that hangs is left behind."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def look(self) -> Beat:
        """Return how things stand now; never raises for what it sees."""
        try:
            sight = self._watch.look()
            results = last_results(self._store)
        except DocrouteError as exc:
            return Beat(problem=str(exc))
        ended = sum(count for state, count in sight.jobs.items() if state in FINAL)
        return Beat(sight, self._rate(ended), tuple(results))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.beat = self.look()
            except Exception:
                if not self._stopped.is_set():  # else its connections were closed under a look that hung
                    raise
            self._stopped.wait(EVERY_S)

    def _rate(self, ended: int) -> float:
        now = self._clock()
        self._ended.append((now, ended))
        while self._ended[0][0] < now - WINDOW_S:
            self._ended.popleft()
        first_at, first = self._ended[0]
        # What has just begun is no rate yet; and a purge takes away more than ended.
        return max(0.0, 60.0 * (ended - first) / max(now - first_at, 10.0))


def last_results(store: Store, limit: int = RESULTS) -> list[Job]:
    """Return the jobs that ended last, the newest first; raise `StoreError`."""
    found = [job for state in FINAL for job in store.jobs(state=state, order="newest", limit=limit)]
    found.sort(key=lambda job: job.finished_at or 0.0, reverse=True)
    return found[:limit]
