"""Whether a worker takes messages while some wait for it. Knows counts and a clock; no queue, consumer or job.

A worker can be alive, with its heart beating and its connections open, and be given nothing: its consumer was
cancelled, or lost its place when it connected again. Where messages wait, a worker that has room takes one within
moments, whatever its siblings do; so one that took nothing while messages waited at every look does not move.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_EVERY_S = 2.0
LATE_S = 15.0
"""Looks that lie further apart tell nothing of the time between: the machine slept, or the broker was slow."""


class Stall:
    """Counts for how long a worker stands still.

    `taken`: how many messages the process has taken in all. `has_room`: whether it would take another. `waits`: whether
    messages wait for it that it could take; raises nothing.
    """

    def __init__(
        self,
        taken: Callable[[], int],
        has_room: Callable[[], bool],
        waits: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._taken = taken
        self._has_room = has_room
        self._waits = waits
        self._clock = clock
        self._seen = taken()
        self._since = self._looked_at = clock()

    def look(self) -> float:
        """Look once and return for how many seconds every look found messages, room for them, and none taken."""
        now, taken = self._clock(), self._taken()
        moves = taken != self._seen or now - self._looked_at > LATE_S or not self._has_room() or not self._waits()
        self._seen, self._looked_at = taken, now
        if moves:
            self._since = now
        return now - self._since
