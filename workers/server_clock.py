"""How far this machine's clock is from the server's, for those who must write or compare the server's times.

Asked once a minute, so that it costs nothing; what a clock does in between is its drift and not its error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

ASK_EVERY_S = 60.0


class ServerClock:
    """Knows the difference since it last asked. Of one thread."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._asked_at = -math.inf

    def ahead_s(self, server_time: Callable[[], tuple[float, float]]) -> float:
        """Return how many seconds `time.time()` is ahead of the server, whose `TIME` is asked now and then."""
        if time.monotonic() - self._asked_at > ASK_EVERY_S:
            before = time.time()
            seconds, microseconds = server_time()
            self._ahead_s = (before + time.time()) / 2 - (float(seconds) + float(microseconds) / 1e6)
            self._asked_at = time.monotonic()
        return self._ahead_s
