"""Blank pages by their marks. Small pure functions on pixels; must not know where the picture came from.

A mark is a connected piece of ink of the size of a letter or larger, away from the page's edge, darker or lighter
than the paper around it by more than the noise. Paper shade, shadows at the border, punched holes and dust are no
marks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from router.types import Rgb

_SIDE_PX = 1000
_MARGIN = 0.02
_MIN_CONTRAST = 7.0
_NOISE_SIGMAS = 6.0
_MIN_MARKS = 4


def is_blank(rgb: Rgb) -> bool:
    """Return whether a page picture, shape (height, width, 3), shows nothing to read; faint text is something."""
    return len(ink_marks(rgb)) < _MIN_MARKS


def ink_marks(rgb: Rgb) -> NDArray[np.float64]:
    """Return the centres of the page's marks in page fractions, shape (n, 2), x before y."""
    gray = _small_gray(rgb)
    height, width = gray.shape
    if min(height, width) < 8:
        return np.zeros((0, 2))
    mask = _ink_mask(gray)
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = [index for index in range(1, len(stats)) if _is_mark(stats[index], width, height)]
    marks = np.asarray(centres, np.float64)[keep].reshape(-1, 2)
    return marks / np.array([width, height], np.float64)


def _small_gray(rgb: Rgb) -> NDArray[np.uint8]:
    scale = _SIDE_PX / max(rgb.shape[:2])
    if scale < 1:
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _ink_mask(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kernel = max(3, min(51, min(gray.shape) // 2 * 2 - 1))
    paper = cv2.medianBlur(gray, kernel)
    difference = np.asarray(cv2.absdiff(gray, paper), np.float32)
    # the paper's own grain decides what stands out: ink covers far less than half of the page
    sigma = 1.4826 * float(np.median(difference))
    mask = np.asarray(difference > max(_MIN_CONTRAST, _NOISE_SIGMAS * sigma), np.uint8)
    top, side = (max(1, round(_MARGIN * length)) for length in gray.shape)
    mask[:top] = mask[-top:] = 0
    mask[:, :side] = mask[:, -side:] = 0
    return mask


def _is_mark(stats: NDArray[np.int32], width: int, height: int) -> bool:
    left, _, box_width, box_height, area = (int(value) for value in stats)
    if area < 8 or max(box_width, box_height) < 4:
        return False
    near_edge = left < 0.08 * width or left + box_width > 0.92 * width
    round_hole = box_width > 10 and 0.7 < box_width / box_height < 1.4 and area > 0.65 * box_width * box_height
    edge_shadow = box_height > 0.3 * height and box_width < 0.05 * width and near_edge
    return not (near_edge and round_hole) and not edge_shadow
