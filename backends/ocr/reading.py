"""Words of a document: from the text layer where a page has one, else by OCR. Knows no field.

Both lanes of one process share a reader: what the fast lane detected and read is not done again when the document is
escalated.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

from backends.ocr.engine import PageReading, read_again, read_page
from backends.ocr.layout import DocumentLayout, PageLayout, build_layout, document_layout, segments_from_words
from router.features import has_usable_text_layer
from router.types import Document, Page, PageSource

READINGS = 3
"""Readings of a thorough pass: first recogniser, second recogniser, first one again on a repaired picture."""
_KEPT_DOCUMENTS = 4


class Reader(Protocol):
    """Reads documents; benchmarks put one in place that has read them before."""

    def read(self, document: Document, pages: PageSource, thorough: bool) -> tuple[DocumentLayout, ...]:
        """Return one layout, or `READINGS` of them when thorough."""
        ...


class OcrReader:
    """Reads pages one at a time, so that a long document never lies in memory as pictures; remembers a few."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, dict[int, PageReading]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, document: Document, pages: PageSource, thorough: bool) -> tuple[DocumentLayout, ...]:
        """Return one layout, or `READINGS` of them when thorough; blank pages have no segments."""
        known = self._pages_of(document.id)
        count = READINGS if thorough else 1
        layouts: list[list[PageLayout]] = [[] for _ in range(count)]
        for page in document.pages:
            for number, layout in enumerate(self._layouts(page, pages, count, known)):
                layouts[number].append(layout)
        return tuple(document_layout(pages_of_one) for pages_of_one in layouts)

    def _pages_of(self, document_id: str) -> dict[int, PageReading]:
        with self._lock:
            known = self._kept.pop(document_id, {})
            self._kept[document_id] = known
            while len(self._kept) > _KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        return known

    def _layouts(self, page: Page, pages: PageSource, count: int, known: dict[int, PageReading]) -> list[PageLayout]:
        if has_usable_text_layer(page):
            return [layout_of_text(page)] * count
        if page.blank:
            return [build_layout(page.number, page.height_px / page.width_px, [])] * count
        reading = known.get(page.number) or read_page(pages.image(page.number), page.number)
        if count > 1 and reading.lines and len(reading.lines[0].readings) < READINGS:
            reading = read_again(pages.image(page.number), reading)
        known[page.number] = reading
        return [reading.layout(k) for k in range(count)]


def layout_of_text(page: Page) -> PageLayout:
    """Return the layout of a page's own words."""
    height = page.height_px / page.width_px
    return build_layout(page.number, height, segments_from_words(page.words, page.number, height), source="text_layer")
