"""PDF bytes to pages, through the worker process. Must not load PDFium itself.

Pages are inspected in ranges, so that the worker never holds a long document's pages, and rendered one at a time when
asked for.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from router.documents.blank import ink_marks, is_blank
from router.documents.decoder_process import DecoderProcess
from router.documents.layer_ink import Gray
from router.documents.limits import Limits
from router.documents.pdf_process import POOL
from router.documents.pdf_text import CHARACTER, covers_marks, words
from router.documents.text_layer import INK_DPI, TextLayer, seen_words, unseen_note
from router.errors import CorruptDocumentError, EmptyDocumentError, LimitExceededError
from router.types import Page, Rgb, Word

T = TypeVar("T")
_CHARACTERS_PER_WORD = 20
_PREVIEW_SIDE_PX = 1000
_FEW_WORDS = 20


class PdfPages:
    """The pages of one PDF: `pages` holds sizes, words and blank flags, `image` renders one of them."""

    def __init__(self, data: bytes, limits: Limits, text_layer: TextLayer = "auto") -> None:
        check_complete(data)
        self._text_layer = text_layer
        self._unseen: dict[int, int] = {}
        self._data = data
        self._id = hashlib.sha256(data).hexdigest()
        self._limits = limits
        self._opening_ends = time.monotonic() + limits.document_timeout_s
        self._count = 0
        try:
            self._ask("the first page", lambda _: None)
            self._check_count()
            self.pages = tuple(self._inspect())
        except BaseException:
            self.close()
            raise
        self._opening_ends = math.inf
        self.notes: tuple[str, ...] = (unseen_note(self._unseen),) if self._unseen else ()

    def image(self, number: int) -> Rgb:
        """Return page `number` (from 1) at the size that `pages` tells; raise `DocumentError`."""
        page = self.pages[number - 1]
        return self._render(number, page.width_px, page.height_px)

    def gray(self, number: int, dpi: float) -> Gray:
        """Return page `number` in grey, shape (height, width), with at most so many dots an inch; raise as `image`."""
        page = self.pages[number - 1]
        return self._pixels(number, *_shrunk(page.width_px, page.height_px, page.dpi or dpi, dpi), gray=True)[0]

    def close(self) -> None:
        """Let workers drop this document; they stay for the next one."""
        POOL.release(self._id)

    def _ask(self, what: str, call: Callable[[DecoderProcess], T]) -> T:
        """Return what `call` gets from a worker that holds this document."""

        def opened(worker: DecoderProcess) -> T:
            self._open(worker)
            return call(worker)

        return POOL.ask(self._id, what, opened)

    def _open(self, worker: DecoderProcess) -> None:
        if worker.document_id == self._id:
            self._count = worker.page_count
            return
        worker.document_id = None
        worker.send({"op": "open", "memory_bytes": self._limits.worker_memory_bytes}, self._data, self._patience_s())
        self._count = int(worker.receive(self._patience_s())[0]["pages"])
        worker.hold(self._id, self._count)

    def _patience_s(self) -> float:
        return max(0.001, min(self._limits.page_timeout_s, self._opening_ends - time.monotonic()))

    def _check_count(self) -> None:
        if self._count == 0:
            raise EmptyDocumentError("the PDF has no pages; send it again")
        if self._count > self._limits.max_pages:
            raise LimitExceededError(
                f"{self._count} pages, the limit is {self._limits.max_pages}; split it or raise max_pages"
            )

    def _inspect(self) -> Iterator[Page]:
        word_count = pixels = 0
        for first in range(1, self._count + 1, self._limits.pages_per_range):
            for page in self._inspect_range(first, min(first + self._limits.pages_per_range - 1, self._count)):
                word_count += len(page.words)
                pixels += page.width_px * page.height_px
                if word_count > self._limits.max_words_total:
                    raise LimitExceededError(f"more than {self._limits.max_words_total} words; raise max_words_total")
                if pixels > self._limits.max_total_pixels:
                    raise LimitExceededError(
                        f"more than {self._limits.max_total_pixels} pixels; raise max_total_pixels"
                    )
                yield page

    def _inspect_range(self, first: int, last: int) -> list[Page]:
        limits = self._limits

        def call(worker: DecoderProcess) -> list[tuple[float, float, tuple[Word, ...]]]:
            header = {"op": "inspect", "first": first, "last": last}
            header["max_characters"] = limits.max_words_page * _CHARACTERS_PER_WORD
            worker.send(header, b"", self._patience_s())
            read = []
            for _ in range(first, last + 1):
                reply, payload = worker.receive(self._patience_s())
                found = words(np.frombuffer(payload, CHARACTER), reply["affine"])
                read.append((reply["width_pt"], reply["height_pt"], found))
            return read

        what = f"page {first}" if first == last else f"one of the pages {first} to {last}"
        return [self._page(first + index, *page) for index, page in enumerate(self._ask(what, call))]

    def _page(self, number: int, width_pt: float, height_pt: float, found: tuple[Word, ...]) -> Page:
        width, height, dpi = render_size(number, width_pt, height_pt, self._limits)
        if len(found) > self._limits.max_words_page:
            raise LimitExceededError(f"page {number} has {len(found)} words; raise max_words_page")
        found = self._seen(number, found, width, height, dpi) if found and self._text_layer != "trust" else found
        blank = False
        if len(found) < _FEW_WORDS:
            shrink = min(1.0, _PREVIEW_SIDE_PX / max(width, height))
            preview = self._render(number, max(1, round(width * shrink)), max(1, round(height * shrink)))
            # a scan with a printed stamp has a text layer that leaves out nearly everything
            found = found if covers_marks(found, ink_marks(preview)) else ()
            blank = not found and is_blank(preview)
        doubted = bool(found) and self._text_layer == "auto"
        return Page(number=number, width_px=width, height_px=height, dpi=dpi, words=found, blank=blank, doubted=doubted)

    def _seen(self, number: int, found: tuple[Word, ...], width: int, height: int, dpi: float) -> tuple[Word, ...]:
        """Return the words that can be seen, none where the text layer is to be ignored."""
        if self._text_layer == "ignore":
            return ()
        small = _shrunk(width, height, dpi, INK_DPI)
        draws = any(word.confidence is not None for word in found)
        drawn, *bare = self._pixels(number, *small, gray=True, bare=draws)
        kept = seen_words(found, drawn, bare[0] if bare else drawn, height / dpi * 72)
        if len(kept) < len(found):
            self._unseen[number] = len(found) - len(kept)
        return kept

    def _render(self, number: int, width: int, height: int) -> Rgb:
        return self._pixels(number, width, height)[0]

    def _pixels(
        self, number: int, width: int, height: int, gray: bool = False, bare: bool = False
    ) -> list[NDArray[np.uint8]]:
        """Return the page's picture, and with `bare` a second one without what its text draws."""
        request = {"op": "render", "page": number, "width_px": width, "height_px": height, "gray": gray, "bare": bare}
        shape = (height, width) if gray else (height, width, 3)

        def call(worker: DecoderProcess) -> list[NDArray[np.uint8]]:
            worker.send(request, b"", self._patience_s())
            payloads = [worker.receive(self._patience_s())[1] for _ in range(2 if bare else 1)]
            return [np.frombuffer(payload, np.uint8).reshape(shape) for payload in payloads]

        return self._ask(f"page {number}", call)


def _shrunk(width: int, height: int, dpi: float, wanted_dpi: float) -> tuple[int, int]:
    """Return a size in pixels at fewer dots an inch."""
    shrink = min(1.0, wanted_dpi / dpi)
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def check_complete(data: bytes) -> None:
    """Raise `CorruptDocumentError` when the PDF's end is missing, which PDFium would repair by dropping content."""
    end = max(data.rfind(b"startxref"), data.rfind(b"%%EOF"))
    if end < data.rfind(b"endobj"):
        raise CorruptDocumentError("the PDF is truncated: its end is missing; send the whole file again")


def render_size(number: int, width_pt: float, height_pt: float, limits: Limits) -> tuple[int, int, float]:
    """Return width and height in pixels and the dpi at which a page of this size in points is rendered.

    Large pages get fewer dots an inch, down to `min_render_dpi`. Raises `LimitExceededError` beyond,
    `CorruptDocumentError` for a page without size.
    """
    if not (math.isfinite(width_pt * height_pt) and width_pt > 0 and height_pt > 0):
        raise CorruptDocumentError(f"page {number} has zero size; print the PDF to a new file")
    pixels = min(limits.max_render_pixels, limits.max_page_pixels)
    dpi = min(
        limits.render_dpi,
        72 * limits.max_render_scale,
        72 * math.sqrt(pixels / (width_pt * height_pt)),
        72 * limits.max_page_side_px / max(width_pt, height_pt),
    )
    if dpi < limits.min_render_dpi:
        size = f"{width_pt / 72:.0f} x {height_pt / 72:.0f} inches"
        raise LimitExceededError(f"page {number} is {size}, too large to render; print it to a smaller page size")
    return max(1, math.floor(width_pt * dpi / 72)), max(1, math.floor(height_pt * dpi / 72)), round(dpi, 2)
