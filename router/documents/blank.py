"""Blank pages by their marks. Small pure functions on pixels; must not know where the picture came from.

A mark is a connected piece of ink of the size of a letter or larger, away from the page's edge, darker or lighter
than the paper around it by more than the noise. Paper shade, shadows at the border, punched holes and dust are no
marks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from router.quantiles import median
from router.types import Rgb

_SIDE_PX = 1000
_MARGIN = 0.02
_MIN_CONTRAST = 7.0
_NOISE_SIGMAS = 6.0
_MIN_LETTERS = 4.0
_DRAWING_AREA_PX = 400
_MIN_SIDE_PX = 8
_SURROUNDINGS_PX = 13


def is_blank(rgb: Rgb) -> bool:
    """Return whether a page picture, shape (height, width, 3), shows nothing to read; faint text is something."""
    boxes, _ = _marks(_small_gray(rgb))
    sides = np.sort(boxes[:, 2:4], axis=1).astype(np.float64)
    letters = np.maximum(1.0, sides[:, 1] / np.maximum(sides[:, 0], 1.0))  # letters that touch make one long mark
    return bool(letters.sum() < _MIN_LETTERS and not (boxes[:, 4] >= _DRAWING_AREA_PX).any())


def ink_marks(rgb: Rgb) -> NDArray[np.float64]:
    """Return the centres of the page's marks in page fractions, shape (n, 2), x before y."""
    gray = _small_gray(rgb)
    return _marks(gray)[1] / np.array(gray.shape[::-1], np.float64)


def _marks(gray: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return left, top, width, height and area of each mark, shape (n, 5), and its centre, shape (n, 2), in pixels."""
    height, width = gray.shape
    if min(height, width) < _MIN_SIDE_PX:
        return np.zeros((0, 5), np.int32), np.zeros((0, 2))
    _, _, stats, centres = cv2.connectedComponentsWithStats(_ink_mask(gray), connectivity=8)
    keep = [index for index in range(1, len(stats)) if _is_mark(stats[index], width, height)]
    return np.asarray(stats, np.int32)[keep].reshape(-1, 5), np.asarray(centres, np.float64)[keep].reshape(-1, 2)


def _small_gray(rgb: Rgb) -> NDArray[np.uint8]:
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    scale = min(1.0, _SIDE_PX / max(gray.shape))
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _paper(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the shade of the paper at every pixel: the median of the surroundings, found on a quarter of the size."""
    size = (max(1, gray.shape[1] // 4), max(1, gray.shape[0] // 4))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    kernel = max(3, min(_SURROUNDINGS_PX, min(size) // 2 * 2 - 1))
    blurred = cv2.medianBlur(small, kernel)
    return np.asarray(cv2.resize(blurred, gray.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _ink_mask(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    difference = np.asarray(cv2.absdiff(gray, _paper(gray)), np.uint8)
    # the paper's own grain decides what stands out: ink covers far less than half of the page
    sigma = 1.4826 * median(difference[::3, ::3])
    mask = np.asarray(difference > max(_MIN_CONTRAST, _NOISE_SIGMAS * sigma), np.uint8)
    side, end = _margins(gray.shape[1], gray.shape[0])
    mask[:end] = mask[-end:] = 0
    mask[:, :side] = mask[:, -side:] = 0
    return mask


def _margins(width: int, height: int) -> tuple[int, int]:
    return max(1, round(_MARGIN * width)), max(1, round(_MARGIN * height))


def _is_mark(box: NDArray[np.int32], width: int, height: int) -> bool:
    left, top, box_width, box_height, area = (int(value) for value in box)
    if area < 8 or max(box_width, box_height) < 4:
        return False
    side, end = _margins(width, height)
    if left <= side or top <= end or left + box_width >= width - side or top + box_height >= height - end:
        return False  # what reaches the edge is the scanner's lid or the table under the page
    near_side = left < 0.08 * width or left + box_width > 0.92 * width
    is_round = 0.7 < box_width / box_height < 1.4 and area > 0.65 * box_width * box_height
    return not (near_side and is_round and box_width > 10)
