"""Picture bytes to Pillow's own readers, and what reading them would cost, before anything is decoded.

Readers are chosen by the sniffed type and called directly: Pillow's own `open` tries every one it has and depends on a
process-wide pixel limit. Must not know colours.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from router.confined import png

PNG, JPEG, TIFF, WEBP, HEIC = "image/png", "image/jpeg", "image/tiff", "image/webp", "image/heic"
NAMES = {PNG: "PNG", JPEG: "JPEG", TIFF: "TIFF", WEBP: "WEBP", HEIC: "HEIC"}
_SCAN_MARKER = b"\xff\xda"
_SMALL_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_WEBP_BYTES_PIXEL = 20
_HEIC_BYTES_PIXEL = 14
_STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT, _BITS, _SAMPLES = 278, 322, 323, 258, 277


class PictureError(Exception):
    """A picture cannot be used; the arguments are the reply's error kind and its detail."""


@dataclass(frozen=True)
class Bounds:
    """What a picture may cost; the fields are those of the caller's `Limits`."""

    max_pages: int
    max_page_pixels: int
    max_page_side_px: int
    max_total_pixels: int
    max_picture_pixels: int
    max_jpeg_scans: int
    picture_memory_bytes: int

    def check_size(self, size: tuple[int, int], number: int) -> None:
        """Raise `PictureError` for an empty picture or one beyond the limits."""
        width, height = size
        if width < 1 or height < 1:
            raise PictureError("corrupt", f"page {number} has zero size; save the picture again")
        if width * height > self.max_page_pixels or max(size) > self.max_page_side_px:
            raise PictureError(
                "limit",
                f"page {number} is {width} x {height} pixels; at most {self.max_page_pixels} pixels and "
                f"{self.max_page_side_px} a side are read; scan it at a lower resolution",
            )


def open_picture(data: bytes, media_type: str, bounds: Bounds) -> Image.Image:
    """Return the file opened, with nothing decoded; raise `PictureError` or what Pillow raises."""
    if media_type == PNG:
        return PngImagePlugin.PngImageFile(io.BytesIO(png.without_texts(data)))
    if media_type == JPEG:
        scans = data.count(_SCAN_MARKER)
        if scans > bounds.max_jpeg_scans:
            told = f"the JPEG has {scans} scans, the limit is {bounds.max_jpeg_scans}; save it anew"
            raise PictureError("limit", told)
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if media_type == TIFF:
        return TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    if media_type == WEBP:
        # its decoder allocates before Pillow tells the size
        size = webp_size(data)
        bounds.check_size(size, 1)
        check_cost(size, _WEBP_BYTES_PIXEL * size[0] * size[1], 1, bounds)
        return WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    from pillow_heif import HeifImageFile

    image: Image.Image = HeifImageFile(io.BytesIO(data))
    return image


def cost_bytes(image: Image.Image, media_type: str) -> int:
    """Return about how much memory decoding the current frame takes at its peak, without the file's own bytes."""
    pixels = image.width * image.height
    stored = pixels * _SMALL_MODES.get(image.mode, 4)
    if media_type == HEIC:
        return pixels * _HEIC_BYTES_PIXEL
    if media_type == WEBP:
        return pixels * _WEBP_BYTES_PIXEL
    if media_type == JPEG:
        return stored + _coefficient_bytes(image)
    if media_type == TIFF:
        return stored + _strip_bytes(image)
    return stored


def _coefficient_bytes(image: Any) -> int:
    """Return what a JPEG of several scans keeps of all of them: two bytes for each sample of each component."""
    if "progressive" not in image.info and "progression" not in image.info:
        return 0
    shares = [horizontal * vertical for _, horizontal, vertical, _ in image.layer]
    return int(2 * image.width * image.height * sum(shares) / max(shares, default=1))


def _strip_bytes(image: Any) -> int:
    """Return the size of a TIFF's strip or tile, which is unpacked whole beside the picture."""
    tags = image.tag_v2
    bits = tags.get(_BITS, (1,))
    depth = max(bits) * int(tags.get(_SAMPLES, 1))
    if _TILE_WIDTH in tags and _TILE_HEIGHT in tags:
        pixels = int(tags[_TILE_WIDTH]) * int(tags[_TILE_HEIGHT])
    else:
        pixels = image.width * min(image.height, int(tags.get(_STRIP_ROWS, image.height)))
    return int(pixels * max(32, depth) // 8)


def check_cost(size: tuple[int, int], needed_bytes: int, number: int, bounds: Bounds) -> None:
    """Raise `PictureError` for a picture that cannot be decoded in the memory that is allowed."""
    if needed_bytes > bounds.picture_memory_bytes:
        raise PictureError(
            "limit",
            f"page {number} of {size[0]} x {size[1]} pixels needs about {needed_bytes / 1e6:.0f} MB to be read, more "
            f"than picture_memory_bytes ({bounds.picture_memory_bytes / 1e6:.0f} MB); scan it at a lower resolution",
        )


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels from a WEBP header; raise `PictureError`."""
    kind, body = data[12:16], data[20:30]
    if len(body) == 10:
        if kind == b"VP8X":
            return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        if kind == b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8 ":
            return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise PictureError("corrupt", "the WEBP header is damaged; save the picture again")
