"""Work to be done now and then by one of many processes. Knows the store's named locks, not what the work is."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from router.errors import DocrouteError
from workers.store import Store

LEAST_HOLD_S = 10.0
LONGEST_PAUSE_S = 30.0
_STOP_WAIT_S = 5.0


class Chore:
    """Does its work in a thread every `every_s` seconds, while this process holds the lock of that name.

    It outlives whatever goes wrong: a failed round is logged once, and the next ones come after longer pauses.
    """

    def __init__(self, name: str, work: Callable[[], object], store: Store, owner: str, every_s: float) -> None:
        self.name = name
        self._work = work
        self._store = store
        self._owner = owner
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failures = 0
        self._log = logging.getLogger(__name__)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end_soon(self) -> None:
        """End after the round that runs."""
        self._stop.set()

    def stop(self) -> None:
        """End after the round that runs, leave the lock to others, and wait for that."""
        self.end_soon()
        if self._thread.is_alive():
            self._thread.join(_STOP_WAIT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            pause_s = self._every_s if self._round() else min(self._every_s * 2.0**self._failures, LONGEST_PAUSE_S)
            self._stop.wait(max(self._every_s, pause_s))
        with contextlib.suppress(DocrouteError):  # the lock ends by itself
            self._store.hold(self.name, self._owner, 0.0)

    def _round(self) -> bool:
        try:
            if self._store.hold(self.name, self._owner, max(LEAST_HOLD_S, 3 * self._every_s)):
                self._work()
        except Exception as exc:
            self._failures = min(self._failures + 1, 10)
            if self._failures == 1:
                expected = isinstance(exc, DocrouteError)
                self._log.warning("%s: %s; it goes on", self.name, exc, exc_info=None if expected else exc)
            return False
        if self._failures:
            self._log.warning("%s: it works again", self.name)
        self._failures = 0
        return True
