"""The HTML report: one self-contained page that opens offline. Knows the template, not how documents were read.

Sections are written to a temporary file as they come, so that a long run is never held in memory; on closing, the page
is put together and takes its name by an atomic rename. Text from documents is escaped by the template, and the page's
own security policy forbids it to load anything.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import IO

from jinja2 import Environment, StrictUndefined

from router.errors import SettingsError
from workers.console import Tally
from workers.local import Outcome
from workers.report_view import DocumentView, document_view
from workers.settings import Settings

_COPY_BYTES = 1 << 20


class ReportWriter:
    """A context manager that collects outcomes into one page; raises `SettingsError` where it cannot be written."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._sections: IO[str] | None = None
        self._index: list[DocumentView] = []
        self._tally = Tally()
        self._started = time.perf_counter()

    def __enter__(self) -> ReportWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_dir():
                raise SettingsError(f"cannot write {self._path}: it is a folder")
            self._partial().write_text("")  # told now, not after an hour of reading
        except OSError as exc:
            raise SettingsError(f"cannot write {self._path}: {exc.strerror}") from exc
        self._sections = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", dir=self._path.parent)
        return self

    def add(self, outcome: Outcome) -> None:
        """Append one document's section."""
        if self._sections is None:
            raise RuntimeError("not opened")
        self._tally.add(outcome)
        pictured = self._tally.documents <= self._settings.report.documents
        view = document_view(outcome, self._tally.documents, pictured)
        self._sections.write(_macro("document")(view, self._settings.report.pages if pictured else 0))
        self._index.append(_heading(view))

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sections is None:
            return
        seconds = time.perf_counter() - self._started
        with self._partial().open("w", encoding="utf-8", errors="replace") as page, self._sections as sections:
            page.write(_macro("head")(self._tally, self._index, self._settings, seconds))
            sections.seek(0)
            shutil.copyfileobj(sections, page, _COPY_BYTES)
            page.write(_macro("foot")())
        self._partial().replace(self._path)

    def _partial(self) -> Path:
        return self._path.with_name(self._path.name + ".partial")


def _heading(view: DocumentView) -> DocumentView:
    """The view without its pictures and fields: all that the index needs to keep."""
    values = {name: getattr(view, name) for name in DocumentView.__dataclass_fields__}
    return DocumentView(**(values | {"fields": (), "pages": (), "bars": ()}))


@cache
def _macro(name: str) -> Callable[..., str]:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("workers") / "report.html.j2").read_text(encoding="utf-8"))
    macro: Callable[..., str] = getattr(template.module, name)
    return macro
