"""Many documents over the processes of one machine. Knows files and the pipeline, no queue and no terminal."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2

from backends import registry
from router.decisions import Decisions
from router.documents import read_file
from router.errors import DocrouteError, SettingsError
from router.schema import Schema
from router.types import Document, PageSource, Result
from workers.decisions import create_decisions
from workers.pictures import PagePicture, page_pictures
from workers.pipeline import Lanes, TierChoice, process_document, result_schema
from workers.pool import Crash, ProcessPool
from workers.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a result with the schema it follows, or an error in one line. Never both."""

    file: str
    elapsed_s: float = 0.0
    result: Result | None = None
    schema: Schema | None = None
    error: str | None = None
    error_kind: str = ""
    pages: int = 0
    pictures: tuple[PagePicture, ...] = ()


@dataclass(frozen=True)
class DocumentWorker:
    """What each process needs; calling it makes the lanes and returns the function that reads one file."""

    schema: Schema
    settings: Settings
    tier: TierChoice = "auto"
    pictured: bool = False

    def __call__(self) -> Callable[[Path], Outcome]:
        """Return the reading function; lanes are made with the first document, which a failure can then name."""
        return self.with_lanes(cache(lambda: create_lanes(self.settings, self.tier)))

    def with_lanes(self, lanes: Callable[[], Lanes]) -> Callable[[Path], Outcome]:
        """Return the reading function over lanes that the first document makes."""
        cv2.setNumThreads(1)  # the processes or threads are the parallelism
        decisions = cache(lambda: create_decisions(self.settings))

        def read(path: Path) -> Outcome:
            started = time.perf_counter()
            try:
                return self._read(path, lanes(), decisions(), started)
            except DocrouteError as exc:
                return _failed(path, exc, str(exc), started)
            except MemoryError as exc:
                return _failed(path, exc, "it needs more memory than there is", started)
            except Exception as exc:
                return _failed(path, exc, f"internal error, please report it: {type(exc).__name__}: {exc}", started)

        return read

    def _read(self, path: Path, lanes: Lanes, decisions: Decisions, started: float) -> Outcome:
        with read_file(path, self.settings.limits, self.settings.text_layer) as opened:
            result = process_document(
                opened.document, opened, self.schema, lanes, decisions, self.tier, dt.date.today()
            )
            pictures = self._pictures(opened.document, opened)
            return Outcome(
                file=file_name(path),
                elapsed_s=time.perf_counter() - started,
                result=result,
                schema=result_schema(self.schema, result),
                pages=len(opened.document.pages),
                pictures=pictures,
            )

    def _pictures(self, document: Document, pages: PageSource) -> tuple[PagePicture, ...]:
        report = self.settings.report
        return page_pictures(document, pages, report.pages, report.width_px) if self.pictured else ()


def create_lanes(settings: Settings, tier: TierChoice = "auto") -> Lanes:
    """Return the configured lanes; raise `BackendError` when one cannot be made, `SettingsError` for options of none.

    A forced tier needs its own backend only, and that lane then stands for both; so does one backend named for both.
    """
    lanes = settings.lanes
    known = {name.replace("-", "_") for name in registry.names()}
    for name in lanes.options:
        if name.replace("-", "_") not in known:
            raise SettingsError(f"lanes.options.{name}: there is no backend {name!r}; docroute backends lists them")
    names = (lanes.fast, lanes.deep) if tier == "auto" else (lanes.of(tier),) * 2
    made = {name: registry.create(name, lanes.options_of(name)) for name in dict.fromkeys(names)}
    return Lanes(*(made[name] for name in names))


def run_documents(paths: Iterable[Path], worker: DocumentWorker, ordered: bool = True) -> Iterator[Outcome]:
    """Yield the outcome of every file, in order or as they are done; the failure of one never stops the others."""
    settings = worker.settings
    names: dict[int, str] = {}

    def remembered() -> Iterator[Path]:
        for index, path in enumerate(paths):
            names[index] = file_name(path)
            yield path

    pool: ProcessPool[Path, Outcome] = ProcessPool(worker, settings.process_count(), settings.document_timeout_s)
    for index, answer in pool.run(remembered(), ordered):
        file = names.pop(index)
        if isinstance(answer, Crash):
            yield Outcome(file=file, error=answer.cause, error_kind="WorkerCrash")
        else:
            yield answer


def file_name(path: Path) -> str:
    """Return a path as text that can be written anywhere, also when its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _failed(path: Path, exc: BaseException, message: str, started: float) -> Outcome:
    line = " ".join(message.split())
    return Outcome(file_name(path), time.perf_counter() - started, error=line, error_kind=type(exc).__name__)
