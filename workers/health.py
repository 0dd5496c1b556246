"""Whether a process is alive and ready, from what its parts say. Knows no queue, model or HTTP.

Live: every heart that is watched beats; a process that is not live should be started again. Ready: live, every part it
expects is there, and every probe succeeds; a process that is not ready should be given time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from workers.logs import safe_error

PROBE_EVERY_S = 2.0
"""Answers of probes are kept for this long, so that whoever asks often does not become a load."""


@dataclass
class _Heart:
    max_silence_s: float
    excuse: Callable[[], bool]
    last_beat: float


@dataclass
class _Probe:
    run: Callable[[], None]
    asked_at: float = float("-inf")
    problem: str | None = None


class Health:
    """Safe for threads. The methods that answer return what is wrong, in words; nothing means all is well."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._parts: dict[str, str] = {}
        self._hearts: dict[str, _Heart] = {}
        self._probes: dict[str, _Probe] = {}
        self._engines: dict[str, Callable[[], str | None]] = {}
        self._doubts: dict[str, Callable[[], str | None]] = {}

    def expect(self, part: str) -> None:
        """Be not ready until `part` is reached."""
        with self._lock:
            self._parts[part] = "is not there yet"

    def reached(self, part: str) -> None:
        """Note that a part is there."""
        with self._lock:
            self._parts.pop(part, None)

    def failed(self, part: str, why: str) -> None:
        """Note why a part is not there."""
        with self._lock:
            self._parts[part] = why

    def watch(self, heart: str, max_silence_s: float, excuse: Callable[[], bool] = lambda: False) -> None:
        """Be not live when `heart` has not beaten for so long, unless its excuse held meanwhile."""
        with self._lock:
            self._hearts[heart] = _Heart(max_silence_s, excuse, self._clock())

    def beat(self, heart: str) -> None:
        """Note that a part of the process does its rounds."""
        found = self._hearts.get(heart)
        if found is not None:
            found.last_beat = self._clock()

    def require(self, name: str, probe: Callable[[], None]) -> None:
        """Be not ready while `probe` raises."""
        with self._lock:
            self._probes[name] = _Probe(probe)

    def ask(self, part: str, problem: Callable[[], str | None]) -> None:
        """Be not live while a part that knows its own state returns what is wrong with it; it must be quick."""
        with self._lock:
            self._engines[part] = problem

    def doubt(self, part: str, problem: Callable[[], str | None]) -> None:
        """Be not ready, but live, while a part returns what is wrong with it; it must be quick."""
        with self._lock:
            self._doubts[part] = problem

    def not_live(self) -> list[str]:
        """Return the hearts that stand still, and what parts say is wrong with them."""
        with self._lock:
            hearts, engines = list(self._hearts.items()), list(self._engines.items())
        silent = [text for name, heart in hearts if (text := self._silence(name, heart))]
        return silent + [f"{part}: {why}" for part, problem in engines if (why := problem())]

    def not_ready(self) -> list[str]:
        """Return what is missing; asks the probes."""
        with self._lock:
            parts = [f"{part} {why}" for part, why in self._parts.items()]
            doubts = list(self._doubts.items())
        parts += [f"{part}: {why}" for part, problem in doubts if (why := problem())]
        return self.not_live() + parts + [f"{name}: {why}" for name, why in self._problems()]

    def _silence(self, name: str, heart: _Heart) -> str:
        silent_s = self._clock() - heart.last_beat
        if silent_s <= heart.max_silence_s:
            return ""
        if heart.excuse():
            heart.last_beat = self._clock()
            return ""
        return f"{name} has not moved for {silent_s:.0f} s"

    def _problems(self) -> list[tuple[str, str]]:
        with self._probing:
            for probe in self._probes.values():
                if self._clock() - probe.asked_at > PROBE_EVERY_S:
                    probe.problem = _ask(probe.run)
                    probe.asked_at = self._clock()
            return [(name, probe.problem) for name, probe in self._probes.items() if probe.problem]


def _ask(probe: Callable[[], None]) -> str | None:
    try:
        probe()
    except Exception as exc:
        return safe_error(exc)
    return None
