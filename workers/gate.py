"""A gate through which many go at once, or one alone. Knows nothing of what is done behind it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class SoloGate:
    """Lets a step that may kill its process run alone, so that it takes no other with it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False
        self._waiting_alone = 0

    @contextlib.contextmanager
    def passage(self, alone: bool) -> Iterator[None]:
        """Run the body beside others, or alone; one who waits to be alone goes before those who come later."""
        self._enter(alone)
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._alone = False
                self._changed.notify_all()

    def _enter(self, alone: bool) -> None:
        with self._changed:
            if alone:
                self._waiting_alone += 1
                self._changed.wait_for(lambda: self._inside == 0)
                self._waiting_alone -= 1
                self._alone = True
            else:
                self._changed.wait_for(lambda: not self._alone and not self._waiting_alone)
            self._inside += 1
