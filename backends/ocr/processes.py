"""OCR of pictures in processes of its own, for lanes whose process holds a GPU. Knows pictures and words, no field."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import cast, get_args

from backends.ocr.layout import Segment
from backends.second_reading import SecondReader, SecondReadingPolicy, When
from router.errors import BackendError, RetryableError
from router.types import Polygon, Rgb, Word

PlainWord = tuple[str, Polygon, float]
"""Text, polygon in picture fractions, confidence: cheaper to send between processes than a `Word`."""


class OcrProcesses:
    """Reads pictures in `workers` processes, started with the first picture.

    They are spawned, not forked: a fork of a process that holds a GPU cannot use it and may hang.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def words(self, pictures: Sequence[Rgb]) -> list[tuple[Word, ...]]:
        """Return the words of each picture; raise `RetryableError` when a process died, another call starts it anew."""
        try:
            read = list(self._running().map(read_words, pictures))
        except BrokenProcessPool as exc:
            self.close()
            raise RetryableError("a process that reads words died") from exc
        return [tuple(Word(text=t, polygon=p, confidence=c) for t, p, c in words) for words in read]

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._workers, context, initializer=_end_with_parent)
            return self._pool


def second_reader(when: str, processes: int) -> SecondReader | None:
    """Return what looks for values by OCR in `processes` processes, None for "never"; raise `BackendError`."""
    if when not in get_args(When):
        raise BackendError(f"unknown second_reading {when!r}; there are {', '.join(get_args(When))}")
    if processes < 1:
        raise BackendError(f"ocr_processes must be at least 1, not {processes}")
    if when == "never":
        return None
    return SecondReader(OcrProcesses(processes), SecondReadingPolicy(cast(When, when)))


def read_words(picture: Rgb) -> list[PlainWord]:
    """Return the words of a picture in reading order."""
    from backends.ocr.engine import read_page

    return words_of(read_page(picture, 1).layout().segments)


def words_of(segments: Sequence[Segment]) -> list[PlainWord]:
    """Return the words of runs of text, each with its own part of the run's place."""
    return [word for segment in segments for word in _split(segment)]


def _split(segment: Segment) -> list[PlainWord]:
    words, start = [], 0
    for text in segment.text.split():
        start = segment.text.index(text, start)
        end = start + len(text)
        words.append((text, segment.span_polygon(start, end), segment.confidence(start, end)))
        start = end
    return words


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even if that died without a word."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
