"""Image bytes to pages, through Pillow. Must not know PDFs.

Decoders are chosen by the sniffed type and called directly: Pillow's own `open` tries every decoder it has and
depends on a process-wide pixel limit. Sizes are read from the header and checked before anything is decoded.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from router.documents import pixels, sniff
from router.documents.blank import is_blank
from router.documents.frames import notes_on_frames
from router.documents.limits import Limits
from router.errors import (
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    LimitExceededError,
    UnsupportedTypeError,
)
from router.types import Page, Rgb

_NEW_SUBFILE_TYPE = 254
_THUMBNAIL_OR_MASK = 0b101
_SCAN_MARKER = b"\xff\xda"
_NAMES = {sniff.PNG: "PNG", sniff.JPEG: "JPEG", sniff.TIFF: "TIFF", sniff.WEBP: "WEBP", sniff.HEIC: "HEIC"}


class ImagePages:
    """The pages of one image file: `pages` holds sizes and blank flags, `image` decodes one of them.

    Only TIFF files have several pages; of an animation the first frame counts. Every page is decoded once when
    opened, so that damage shows at once; the first page's picture of that pass is kept until it is asked for. What is
    `known` of a picture from an earlier opening is not looked for again.
    """

    def __init__(self, data: bytes, media_type: str, limits: Limits, known: Page | None = None) -> None:
        self._data = data
        self._media_type = media_type
        self._limits = limits
        self._first: Rgb | None = None
        self._frames: list[int] = [] if known is None else [0]
        self.pages: tuple[Page, ...] = () if known is None else (known,)
        self.notes: tuple[str, ...] = ()
        if known is not None:
            return
        with _translated(_NAMES[media_type]):
            self.pages = tuple(self._inspect())
        if not self.pages:
            raise EmptyDocumentError("the image has no pages; save it again")

    def image(self, number: int) -> Rgb:
        """Return page `number` (from 1); raise `DocumentError`."""
        if number == 1 and self._first is not None:
            first, self._first = self._first, None
            return first
        with _translated(_NAMES[self._media_type]), self._open() as image:
            image.seek(self._frames[number - 1])
            return self._decode(image, number)

    def close(self) -> None:
        """Drop a picture that nobody asked for."""
        self._first = None

    def _open(self) -> Image.Image:
        data, limits = self._data, self._limits
        source = io.BytesIO(data)
        if self._media_type == sniff.PNG:
            return PngImagePlugin.PngImageFile(source)
        if self._media_type == sniff.JPEG:
            scans = data.count(_SCAN_MARKER)
            if scans > limits.max_jpeg_scans:
                raise LimitExceededError(
                    f"the JPEG has {scans} scans, the limit is {limits.max_jpeg_scans}; save it anew"
                )
            return JpegImagePlugin.JpegImageFile(source)
        if self._media_type == sniff.TIFF:
            return TiffImagePlugin.TiffImageFile(source)
        if self._media_type == sniff.WEBP:
            check_size(webp_size(data), 1, limits)  # its decoder allocates before Pillow tells the size
            return WebPImagePlugin.WebPImageFile(source)
        return _open_heic(source)

    def _inspect(self) -> Iterator[Page]:
        total = 0
        with self._open() as image:
            for number, frame in enumerate(self._select(image), 1):
                image.seek(frame)
                check_size(image.size, number, self._limits)
                total += image.width * image.height
                if total > self._limits.max_total_pixels:
                    raise LimitExceededError(
                        f"more than {self._limits.max_total_pixels} pixels; raise max_total_pixels"
                    )
                dpi = pixels.dpi(image)
                rgb = self._decode(image, number)
                if number == 1:
                    self._first = rgb
                self._frames.append(frame)
                yield Page(number=number, width_px=rgb.shape[1], height_px=rgb.shape[0], dpi=dpi, blank=is_blank(rgb))

    def _select(self, image: Image.Image) -> list[int]:
        """Return the frames that are pages: all but thumbnails and masks."""
        if self._media_type != sniff.TIFF:
            self.notes = notes_on_frames(image, self._data)
            return [0]
        frames, kinds = 0, []
        while True:
            try:
                image.seek(frames)
            except EOFError:
                break
            frames += 1
            if frames > self._limits.max_pages:
                raise LimitExceededError(f"more than {self._limits.max_pages} pages; split it or raise max_pages")
            kinds.append(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0))  # type: ignore[attr-defined]
        pages = [frame for frame, kind in enumerate(kinds) if not (isinstance(kind, int) and kind & _THUMBNAIL_OR_MASK)]
        return pages or [0]

    def _decode(self, image: Image.Image, number: int) -> Rgb:
        check_size(image.size, number, self._limits)
        turn, (wider, higher) = pixels.orientation(image), pixels.stretch(image)
        image.load()
        if self._media_type in (sniff.TIFF, sniff.HEIC):
            turn = 1  # these decoders turn the picture themselves
        rgb = pixels.to_rgb(image)
        if (wider, higher) != (1.0, 1.0):
            check_size((round(image.width * wider), round(image.height * higher)), number, self._limits)
            rgb = np.asarray(cv2.resize(rgb, None, fx=wider, fy=higher, interpolation=cv2.INTER_LINEAR), np.uint8)
        return pixels.upright(rgb, turn)


def check_size(size: tuple[int, int], number: int, limits: Limits) -> None:
    """Raise `CorruptDocumentError` for an empty picture and `LimitExceededError` for one beyond the limits."""
    width, height = size
    if width < 1 or height < 1:
        raise CorruptDocumentError(f"page {number} has zero size; save the picture again")
    if width * height > limits.max_page_pixels or max(size) > limits.max_page_side_px:
        raise LimitExceededError(
            f"page {number} is {width} x {height} pixels; at most {limits.max_page_pixels} pixels and "
            f"{limits.max_page_side_px} a side are read; scan it at a lower resolution"
        )


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels from a WEBP header; raise `CorruptDocumentError`."""
    kind, body = data[12:16], data[20:30]
    if len(body) == 10:
        if kind == b"VP8X":
            return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        if kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8 ":
            return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise CorruptDocumentError("the WEBP header is damaged; save the picture again")


def _open_heic(source: io.BytesIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as exc:
        raise UnsupportedTypeError(
            "HEIC needs an extra package; install it with: pip install 'docroute[heic]'"
        ) from exc
    image: Image.Image = HeifImageFile(source)
    return image


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a `DocumentError`, and keep its warnings from the user's screen."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    except DocumentError:
        raise
    except MemoryError as exc:
        raise LimitExceededError(f"the {name} needs more memory than there is; scan it at a lower resolution") from exc
    except Image.DecompressionBombError as exc:
        raise LimitExceededError(f"the {name} has too many pixels; scan it at a lower resolution") from exc
    except Exception as exc:  # decoders raise nearly anything on hostile bytes
        detail = " ".join(str(exc).split())[:120] or type(exc).__name__
        raise CorruptDocumentError(f"the {name} is damaged or truncated ({detail}); send it again") from exc
