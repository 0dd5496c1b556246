"""Page pictures set right: square dots, the upper edge up. Pure functions on pixels; must not know files."""

from __future__ import annotations

import cv2
import numpy as np

from router.types import Rgb


def stretched(rgb: Rgb, wider: float, higher: float) -> Rgb:
    """Return the picture with its width and height multiplied, which makes a fax's oblong dots square."""
    if (wider, higher) == (1.0, 1.0):
        return rgb
    return np.asarray(cv2.resize(rgb, None, fx=wider, fy=higher, interpolation=cv2.INTER_LINEAR), np.uint8)


def upright(rgb: Rgb, orientation: int) -> Rgb:
    """Return the picture as its EXIF orientation (1 to 8; others mean 1) says it should be seen."""
    if orientation in (5, 6, 7, 8):
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)
