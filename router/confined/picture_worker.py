"""The process that decodes pictures: reads requests from stdin, writes replies to stdout, and may crash.

It answers with RGB rows as they are made, so that a picture lies in memory only once, as Pillow keeps it.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image, JpegImagePlugin

from router.confined import jpeg_end, metadata
from router.confined.frames import notes_on_frames
from router.confined.picture_file import (
    HEIC,
    JPEG,
    NAMES,
    TIFF,
    Bounds,
    PictureError,
    check_cost,
    cost_bytes,
    open_picture,
)
from router.confined.protocol import Reply, arm, bound_memory, serve
from router.confined.rows import BAND_BYTES, rgb_rows

_NEW_SUBFILE_TYPE = 254
_THUMBNAIL_OR_MASK = 0b101
_OWN_BYTES = 60_000_000
"""What the process has before it opens anything, with the libraries that only some pictures need."""


class Reader:
    """One file. It is opened anew for each page, since Pillow keeps what it has decoded."""

    def __init__(self) -> None:
        self._data = b""
        self._media_type = JPEG
        self._frames: list[int] = []

    def open(self, header: dict[str, Any], data: bytes) -> Iterator[Reply]:
        """Yield the number of pages and what is to be noted, both from headers, then the page that is asked for."""
        self._data, self._media_type, self._bounds = data, header["media_type"], Bounds(**header["bounds"])
        bound_memory(self._bounds.picture_memory_bytes)
        with self._opened() as image:
            self._frames = self._select(image)
            self._check_sizes(image)
            notes = () if self._media_type == TIFF else notes_on_frames(image, data)
        del image  # some readers hold memory from opening on
        yield {"pages": len(self._frames), "notes": notes}, 0, ()
        arm(header["timeout_s"])
        yield from self.decode(header, data)

    def decode(self, header: dict[str, Any], _: bytes) -> Iterator[Reply]:
        """Yield one page as RGB rows, and how its sides and upper edge are to be set right.

        A file of one page is forgotten with that: its picture is asked for once.
        """
        number = header["page"]
        with self._opened() as image:
            image.seek(self._frames[number - 1])
            full, dpi, (wider, higher) = image.size, metadata.dpi(image), metadata.stretch(image)
            # these decoders turn the picture themselves
            turn = 1 if self._media_type in (TIFF, HEIC) else metadata.orientation(image)
            loaded, notes = self._load(image, self._draft(image, number))
            width, height = self._size(loaded, wider, higher)
            if (width, height) != full:
                notes = (*notes, f"page {number} of {full[0]} x {full[1]} pixels is read at {width} x {height}")
            told: dict[str, Any] = {
                "width_px": width,
                "height_px": height,
                "turn": turn,
                "wider": wider,
                "higher": higher,
            }
            told["dpi"] = dpi and round(dpi * width / full[0], 2)
            yield told | {"notes": notes}, 3 * width * height, rgb_rows(loaded, (width, height))
        if len(self._frames) == 1:
            self._data = b""

    def drop(self, _: dict[str, Any], __: bytes) -> Iterator[Reply]:
        """Forget the file and yield an empty reply."""
        self._data = b""
        yield {}, 0, ()

    def failure(self, exc: Exception) -> dict[str, Any]:
        """Return the header that tells the caller what is wrong with the file."""
        name = NAMES[self._media_type]
        if isinstance(exc, PictureError):
            return {"error": exc.args[0], "detail": exc.args[1]}
        detail = " ".join(str(exc).split())[:120] or type(exc).__name__
        if isinstance(exc, MemoryError) or detail == "decoder error -9":
            told = f"the {name} needs more memory than picture_memory_bytes allows; scan it at a lower resolution"
            return {"error": "limit", "detail": told}
        if isinstance(exc, Image.DecompressionBombError):
            return {"error": "limit", "detail": f"the {name} has too many pixels; scan it at a lower resolution"}
        return {"error": "corrupt", "detail": f"the {name} is damaged or truncated ({detail}); send it again"}

    def _opened(self) -> Image.Image:
        return open_picture(self._data, self._media_type, self._bounds)

    def _select(self, image: Any) -> list[int]:
        """Return the frames that are pages: of a TIFF all but thumbnails and masks, otherwise the first."""
        if self._media_type != TIFF:
            return [0]
        frames, kinds = 0, []
        while True:
            try:
                image.seek(frames)
            except EOFError:
                break
            frames += 1
            if frames > self._bounds.max_pages:
                most = self._bounds.max_pages
                raise PictureError("limit", f"more than {most} pages; split it or raise max_pages")
            kinds.append(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0))
        pages = [frame for frame, kind in enumerate(kinds) if not (isinstance(kind, int) and kind & _THUMBNAIL_OR_MASK)]
        return pages or [0]

    def _check_sizes(self, image: Image.Image) -> None:
        total, bounds = 0, self._bounds
        for number, frame in enumerate(self._frames, 1):
            image.seek(frame)
            bounds.check_size(image.size, number)
            wider, higher = metadata.stretch(image)
            bounds.check_size((round(image.width * wider), round(image.height * higher)), number)
            total += image.width * image.height
            if total > bounds.max_total_pixels:
                raise PictureError("limit", f"more than {bounds.max_total_pixels} pixels; raise max_total_pixels")

    def _draft(self, image: Image.Image, number: int) -> int:
        """Return by how much a JPEG is to be reduced while it is decoded: 1 or 2; raise where no memory is enough."""
        others = _OWN_BYTES + 2 * len(self._data) + BAND_BYTES
        full = cost_bytes(image, self._media_type)
        if self._media_type != JPEG or others + full <= self._bounds.picture_memory_bytes:
            check_cost(image.size, others + full, number, self._bounds)
            return 1
        saved = 3 * image.width * image.height
        check_cost(image.size, others + full - saved, number, self._bounds)
        return 2

    def _load(self, image: Image.Image, draft: int) -> tuple[Image.Image, tuple[str, ...]]:
        """Decode the picture and return it with what is to be noted."""
        try:
            return _decoded(image, draft), ()
        except OSError:
            if self._media_type != JPEG or not jpeg_end.may_be_whole(self._data):
                raise
            image.close()
            image.im = None  # type: ignore[assignment]
            longer, whole = jpeg_end.ended(self._data)
            expected = _digest(_decoded(JpegImagePlugin.JpegImageFile(io.BytesIO(longer)), draft))
            image = _decoded(JpegImagePlugin.JpegImageFile(io.BytesIO(whole)), draft)
            if _digest(image) != expected:
                raise
            return image, (jpeg_end.NOTE,)

    def _size(self, image: Image.Image, wider: float, higher: float) -> tuple[int, int]:
        """Return the size at which the picture is handed on, so that it has few enough pixels once it is stretched."""
        excess = image.width * wider * image.height * higher / self._bounds.max_picture_pixels
        if excess <= 1:
            return image.size
        return max(1, math.floor(image.width / excess**0.5)), max(1, math.floor(image.height / excess**0.5))


def _decoded(image: Image.Image, draft: int) -> Image.Image:
    if draft > 1:
        image.draft(None, (image.width // draft, image.height // draft))
    image.load()
    return image


def _digest(image: Image.Image) -> bytes:
    digest = hashlib.blake2b()
    for rows in rgb_rows(image, image.size):
        digest.update(rows)
    return digest.digest()


def main() -> None:
    """Serve requests until the caller closes stdin."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    reader = Reader()
    serve({"open": reader.open, "decode": reader.decode, "drop": reader.drop}, reader.failure)


if __name__ == "__main__":
    main()
