"""Page pictures small enough to be shown: knows pixels, not fields."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from router.types import Document, PageSource, Rgb

_JPEG_QUALITY = 70


@dataclass(frozen=True)
class PagePicture:
    """One page as a JPEG of `width_px` by `height_px`."""

    number: int
    width_px: int
    height_px: int
    jpeg: bytes


def page_pictures(document: Document, pages: PageSource, count: int, width_px: int) -> tuple[PagePicture, ...]:
    """Return the first `count` pages, none wider than `width_px`."""
    return tuple(_picture(page.number, pages.image(page.number), width_px) for page in document.pages[:count])


def _picture(number: int, image: Rgb, width_px: int) -> PagePicture:
    height, width = image.shape[:2]
    scale = min(1.0, width_px / width, 2.5 * width_px / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    _, encoded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return PagePicture(number, size[0], size[1], encoded.tobytes())
