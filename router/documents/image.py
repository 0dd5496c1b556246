"""Image bytes to pages, through the picture process. Must not know PDFs, and loads no decoder itself.

Pictures are decoded in a process with bounded memory: a file of a megabyte can unpack to two gigabytes in its decoder,
and what is wrong in a decoder stays there. A page of more than `max_picture_pixels` is reduced on the way.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from router.documents import pixels, sniff
from router.documents.blank import is_blank
from router.documents.decoder_process import DecoderProcess, WorkerDiedError
from router.documents.limits import Limits
from router.documents.picture_process import POOL
from router.errors import UnsupportedTypeError
from router.types import Page, Rgb

_BOUNDS = (
    "max_pages",
    "max_page_pixels",
    "max_page_side_px",
    "max_total_pixels",
    "max_picture_pixels",
    "max_jpeg_scans",
    "picture_memory_bytes",
)


class ImagePages:
    """The pages of one image file: `pages` holds sizes and blank flags, `image` decodes one of them.

    Only TIFF files have several pages; of an animation the first frame counts. Every page is decoded once when
    opened, so that damage shows at once; the first page's picture of that pass is kept until it is asked for. What is
    `known` of a picture from an earlier opening is not looked for again.
    """

    def __init__(self, data: bytes, media_type: str, limits: Limits, known: Page | None = None) -> None:
        if media_type == sniff.HEIC and importlib.util.find_spec("pillow_heif") is None:
            raise UnsupportedTypeError("HEIC needs an extra package; install it with: pip install 'docroute[heic]'")
        self._data = data
        self._id = hashlib.sha256(data).hexdigest()
        self._media_type = media_type
        self._limits = limits
        self._first: Rgb | None = None
        self._count = 0
        self._notes: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.pages: tuple[Page, ...] = () if known is None else (known,)
        if known is None:
            try:
                self.pages = tuple(self._inspect())
            except BaseException:
                self.close()
                raise

    def image(self, number: int) -> Rgb:
        """Return page `number` (from 1); raise `DocumentError`."""
        if number == 1 and self._first is not None:
            first, self._first = self._first, None
            return first
        return self._decode(number)[0]

    def close(self) -> None:
        """Drop a picture that nobody asked for, and the bytes wherever they are."""
        self._first = None
        POOL.release(self._id)

    def _inspect(self) -> Iterator[Page]:
        number = 1
        while number == 1 or number <= self._count:
            rgb, told = self._decode(number)
            if number == 1:
                self._first, self.notes = rgb, self._notes
            self.notes += tuple(told["notes"])
            height, width = rgb.shape[:2]
            yield Page(number=number, width_px=width, height_px=height, dpi=told["dpi"], blank=is_blank(rgb))
            number += 1

    def _decode(self, number: int) -> tuple[Rgb, dict[str, Any]]:
        def call(worker: DecoderProcess) -> tuple[dict[str, Any], bytearray]:
            if worker.document_id != self._id or not self._count:
                self._open(worker, number)
            else:
                worker.send({"op": "decode", "page": number}, b"", self._limits.page_timeout_s)
            told, rows = worker.receive(self._limits.page_timeout_s)
            if not rows or len(rows) != 3 * told["width_px"] * told["height_px"]:
                raise WorkerDiedError(timed_out=False)
            if worker.page_count == 1:  # it has forgotten the file by itself
                worker.document_id = None
            return told, rows

        told, rows = POOL.ask(self._id, f"page {number}", call)
        rgb = np.frombuffer(rows, np.uint8).reshape(told["height_px"], told["width_px"], 3)
        return pixels.upright(pixels.stretched(rgb, told["wider"], told["higher"]), told["turn"]), told

    def _open(self, worker: DecoderProcess, number: int) -> None:
        """Let a worker open the file and go on to decode a page, in one request: that page is the next reply."""
        worker.document_id = None
        bounds = {name: getattr(self._limits, name) for name in _BOUNDS}
        header = {"op": "open", "media_type": self._media_type, "bounds": bounds, "page": number}
        worker.send(header, self._data, self._limits.page_timeout_s)
        opened = worker.receive(self._limits.page_timeout_s)[0]
        self._count, self._notes = int(opened["pages"]), tuple(opened["notes"])
        worker.hold(self._id, self._count)
