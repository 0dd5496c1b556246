"""One page prepared once for all signals: a small grey picture, its paper, its ink, and full-size cuttings of its text.

Global signals (skew, lines, columns) are measured on the small picture, local ones (blur, noise, glyph height) on the
cuttings, which keeps a 200-dpi A4 page within a few milliseconds. This module must not know scores, weights or text
layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from router.quantiles import median
from router.types import Rgb

Grey = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Boxes = NDArray[np.float64]
"""Shape (n, 4): x, y, width, height in pixels."""

PATCHES = 6
_SMALLEST_WORKING_AREA_PX = 450_000
_INK = 0.14
"""Ink is at least this share darker than the paper around it."""
_RULING_LENGTH = 0.045
"""A stroke longer than this share of the working diagonal is a ruling line and not a letter."""
_PICTURE_SIDE_PX = 250
_CELL_PX = 8


@dataclass(frozen=True)
class Patch:
    """A full-size cutting: `grey`, its `ink` mask (0 or 1), the boxes of the ink's `pieces`, and its grey levels."""

    grey: Grey
    ink: Mask
    pieces: Boxes
    ink_level: float
    paper_level: float


@dataclass(frozen=True)
class PageView:
    """A page as the signals see it.

    `grey` has the working size (height, width); `scale` is working pixels per page pixel; `paper` the grey level of the
    paper around each pixel; `text`, `horizontal`, `vertical` are masks (0 or 1) of letters and of ruling lines;
    `picture` is the mask of photographs, logos and dark areas, about 250 pixels on its longer side.
    """

    width_px: int
    height_px: int
    scale: float
    grey: Grey
    paper: Grey
    text: Mask
    horizontal: Mask
    vertical: Mask
    picture: Mask
    patches: tuple[Patch, ...]


def prepare(rgb: Rgb) -> PageView:
    """Return the view of a page picture of shape (height, width, 3), RGB, uint8."""
    height_px, width_px = rgb.shape[:2]
    small = _working_size(rgb)
    grey = cv2.GaussianBlur(_grey(small), (3, 3), 0) if small.shape == rgb.shape else _grey(small)
    scale = grey.shape[1] / width_px
    # filling what is thinner than the window leaves paper, shaded panels and the edges of these
    filled = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    ink = _ink(grey, filled)
    picture = _pictures(small, grey)
    letters = cv2.bitwise_and(ink, 1 - _enlarged(picture, grey.shape))
    horizontal, vertical = _rulings(letters)
    text = cv2.bitwise_and(letters, 1 - cv2.dilate(horizontal | vertical, np.ones((3, 3), np.uint8)))
    patches = _patches(rgb, text, scale)
    return PageView(width_px, height_px, scale, grey, filled, text, horizontal, vertical, picture, patches)


def shrink(picture: NDArray[np.uint8], across: int, down: int) -> NDArray[np.uint8]:
    """Return a picture averaged over blocks of whole pixels (ten times faster than a fractional scale)."""
    width, height = picture.shape[1] // across, picture.shape[0] // down
    if (across, down) == (1, 1) or not width or not height:
        return picture
    whole = picture[: height * down, : width * across]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]


def boxes_of(mask: Mask) -> Boxes:
    """Return the boxes of a mask's connected pieces."""
    try:  # 16-bit labels are three times faster, and enough for any page but pure noise
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)[2]
    except cv2.error:
        stats = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)[2]
    return stats[1:, :4].astype(np.float64)  # type: ignore[no-any-return]


def _working_size(rgb: Rgb) -> Rgb:
    factor = max(1, int((rgb.shape[0] * rgb.shape[1] / _SMALLEST_WORKING_AREA_PX) ** 0.5))
    stride = max(1, factor // 2)  # every second pixel of a 400-dpi scan tells enough
    return shrink(np.ascontiguousarray(rgb[::stride, ::stride]), factor // stride, factor // stride)


def _grey(rgb: Rgb) -> Grey:
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)  # type: ignore[no-any-return]


def _ink(grey: Grey, paper: Grey) -> Mask:
    darker: Grey = cv2.subtract(paper, grey)
    grain = int(median(darker[::7, ::7]))  # most of a page is paper: what its middle pixel differs by is no ink
    needed = np.maximum((paper.astype(np.uint16) * int(256 * _INK)) >> 8, max(12, 2 * grain))
    mask: Mask = np.greater(darker, needed).astype(np.uint8)
    return mask


def _pictures(rgb: Rgb, grey: Grey) -> Mask:
    factor = max(1, round(max(grey.shape) / _PICTURE_SIDE_PX))
    little = shrink(grey, factor, factor)
    red, green, blue = cv2.split(cv2.resize(rgb, little.shape[::-1], interpolation=cv2.INTER_NEAREST))
    paper = cv2.dilate(little, np.ones((31, 31), np.uint8))
    chroma = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    solid = ((little < 0.72 * paper) | (chroma > 60)).astype(np.uint8)
    return cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))  # type: ignore[no-any-return]


def _enlarged(mask: Mask, shape: tuple[int, ...]) -> Mask:
    return cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)  # type: ignore[no-any-return]


def _rulings(ink: Mask) -> tuple[Mask, Mask]:
    length = max(20, int(_RULING_LENGTH * float(np.hypot(*ink.shape))))
    across = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    down = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((length, 1), np.uint8))
    return across, down


def _patches(rgb: Rgb, text: Mask, scale: float) -> tuple[Patch, ...]:
    """Cut where text is densest, each cutting from another part of the page."""
    side = int(np.clip(rgb.shape[1] / 6, 192, 480))
    around = max(1, int(side * scale / _CELL_PX))
    cells = shrink(text * np.uint8(255), _CELL_PX, _CELL_PX).astype(np.float32) / 255
    density = cv2.blur(cells, (around, around), borderType=cv2.BORDER_CONSTANT)
    patches = []
    for _ in range(PATCHES):
        y, x = np.unravel_index(int(density.argmax()), density.shape)
        if density[y, x] < 0.01:
            break
        patches.append(_cut(rgb, int(_CELL_PX * (x + 0.5) / scale), int(_CELL_PX * (y + 0.5) / scale), side))
        density[max(0, y - around) : y + around + 1, max(0, x - around) : x + around + 1] = 0.0
    return tuple(p for p in patches if p is not None)


def _cut(rgb: Rgb, centre_x: int, centre_y: int, side: int) -> Patch | None:
    left = int(np.clip(centre_x - side // 2, 0, max(0, rgb.shape[1] - side)))
    top = int(np.clip(centre_y - side // 2, 0, max(0, rgb.shape[0] - side)))
    grey = _grey(rgb[top : top + side, left : left + side])
    paper = cv2.blur(cv2.dilate(grey, np.ones((25, 25), np.uint8)), (25, 25))
    flat = cv2.GaussianBlur(cv2.subtract(paper, grey), (3, 3), 0)
    threshold, ink = cv2.threshold(flat, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    inked = ink.astype(bool)
    if threshold < 6 or not 0.01 < inked.mean() < 0.6:
        return None
    return Patch(grey, ink, boxes_of(ink), median(grey[inked]), median(grey[~inked]))
