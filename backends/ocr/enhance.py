"""Repairs a line's picture before it is read again: contrast, noise, stroke edges. Knows no text."""

from __future__ import annotations

import cv2
import numpy as np

from router.types import Rgb

_TARGET_HEIGHT_PX = 64


def enhance_line(crop: Rgb) -> Rgb:
    """Return the crop with its contrast spread, noise smoothed and edges sharpened; enlarged to at least 64 px high."""
    height, width = crop.shape[:2]
    if height < _TARGET_HEIGHT_PX:
        size = (max(2, round(width * _TARGET_HEIGHT_PX / height)), _TARGET_HEIGHT_PX)
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)
    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
    grey = cv2.bilateralFilter(grey, 5, 30, 3)
    low, high = np.percentile(grey, (1, 97))
    grey = np.clip((grey.astype(np.float32) - low) * (255.0 / max(high - low, 1.0)), 0, 255)
    sharp = np.clip(grey + 0.6 * (grey - cv2.GaussianBlur(grey, (0, 0), 2.0)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(sharp, cv2.COLOR_GRAY2RGB), np.uint8)
