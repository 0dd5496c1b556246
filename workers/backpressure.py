"""How much may wait for intake before a submission is turned away. Knows the store's counts, no queue or document."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from router.errors import BusyError
from workers.store import Store

LOOK_EVERY_S = 0.25
FREE_SHARE = 0.1
"""Of the limit: so much should be free again before those who were turned away come back."""
SHORTEST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0


class IntakeLimit:
    """Lets submissions in while fewer than `limit` jobs wait for intake. Safe for threads.

    The store is asked now and then; between two looks this process's own submissions are counted on top.
    """

    def __init__(self, store: Store, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = 0
        self._retry_after_s = SHORTEST_WAIT_S
        self._looked_at = -math.inf

    def enter(self) -> None:
        """Count one submission; raise `BusyError` when too many jobs wait, `StoreError` when nobody can say."""
        with self._lock:
            if self._clock() - self._looked_at >= LOOK_EVERY_S:
                self._look()
            if self._waiting >= self._limit:
                raise BusyError(
                    f"busy: {self._waiting} jobs wait for intake and {self._limit} may; "
                    f"try again after {self._retry_after_s:.0f} s",
                    self._retry_after_s,
                )
            self._waiting += 1

    def _look(self) -> None:
        self._waiting = self._store.waiting_count("intake")
        self._looked_at = self._clock()
        if self._waiting >= self._limit:
            since = self._store.waiting_since("intake")
            oldest_s = 0.0 if since is None else self._store.now() - since
            self._retry_after_s = retry_after_s(self._waiting, self._limit, oldest_s)


def retry_after_s(waiting: int, limit: int, oldest_s: float) -> float:
    """Return after how many seconds a tenth of the limit should be free again, between 1 and 300, rounded up.

    In a line that is served in order, as many jobs as wait now were served while the oldest waited (Little's law).
    """
    excess = waiting - (1.0 - FREE_SHARE) * limit
    wait_s = excess * oldest_s / max(waiting, 1)
    return float(math.ceil(min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S)))
