"""Many documents over the engines of this process. Knows lanes and threads, no queue and no terminal.

A model that owns a device is loaded once and shared by threads, where other lanes have a process for each core. When
its engine dies the whole process ends: the device cannot be trusted, and no other model takes its place.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from backends.base import EngineModel, ExtractionRequest, Lane, engine_of
from router.types import Extraction
from workers.local import DocumentWorker, Outcome
from workers.pipeline import Lanes

AHEAD = 2
"""Documents in work or waiting to be taken, as a multiple of those at once."""


def engines_of(lanes: Lanes) -> list[EngineModel]:
    """Return the models of lanes that an engine of this process runs."""
    found = [engine_of(lanes.fast), engine_of(lanes.deep) if lanes.deep is not lanes.fast else None]
    return [engine for engine in found if engine is not None]


class _Bounded:
    """A lane that computes on the CPU, kept from being asked by more threads than there are cores."""

    def __init__(self, lane: Lane, at_once: int) -> None:
        self.name, self.relative_cost = lane.name, lane.relative_cost
        self._lane, self._gate = lane, threading.Semaphore(at_once)

    def extract(self, request: ExtractionRequest) -> Extraction:
        """Read when it is its turn."""
        with self._gate:
            return self._lane.extract(request)


def run_on_engines(paths: Iterable[Path], worker: DocumentWorker, lanes: Lanes) -> Iterator[Outcome]:
    """Yield the outcome of every file, in order; the failure of one never stops the others.

    The lanes' engines are loaded by then, and are closed at the end.
    """
    engines = engines_of(lanes)
    settings = worker.settings
    at_once = settings.processes or max(engine.facts().callers for engine in engines)
    bounded = Lanes(*(_bounded(lane, settings.process_count()) for lane in (lanes.fast, lanes.deep)))
    read = worker.with_lanes(lambda: bounded)
    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="document") as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(read, path))
                while waiting and (waiting[0].done() or len(waiting) >= AHEAD * at_once):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for engine in engines:
                engine.close(drain=False)


def _bounded(lane: Lane, at_once: int) -> Lane:
    return lane if engine_of(lane) is not None else _Bounded(lane, at_once)
