"""Finds workers that run and do nothing: those whose `/live` answers no more.

Asks from a thread, for a process that hangs answers late or never. Knows no process, only names and addresses.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping

EVERY_S = 10.0
FAILURES = 6
"""So many in a row mean that it hangs; a busy machine may miss a few."""


class Liveness:
    """Asks every address now and then. One that is starting again misses fewer times than it may."""

    def __init__(
        self,
        urls: Mapping[str, str],
        answers: Callable[[str], bool],
        every_s: float = EVERY_S,
        failures: int = FAILURES,
    ) -> None:
        self._urls = dict(urls)
        self._answers = answers
        self._every_s = every_s
        self._failures = failures
        self._missed: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()

    def ask_once(self) -> None:
        """Ask every address."""
        for name, url in self._urls.items():
            self._missed[name] = 0 if self._answers(url) else self._missed[name] + 1

    def hanging(self) -> list[str]:
        """Return who missed too many, and count from the beginning for them."""
        found = [name for name, missed in self._missed.items() if missed >= self._failures]
        for name in found:
            self._missed[name] = 0
        return found

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.ask_once()
