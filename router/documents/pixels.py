"""Pillow pictures of every mode to RGB. Must not know files: it gets a decoded picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from router.types import Rgb

_ORIENTATION = 0x0112
_NUMERIC_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_MAX_STRETCH = 4.0
_WHITE_LEVELS = (255.0, 4095.0, 65535.0)


def to_rgb(image: Image.Image) -> Rgb:
    """Return the picture as RGB, shape (height, width, 3): transparent is white, deep pixels are scaled, not clipped.

    Colour profiles are ignored: they shift shades, and a damaged one would lose the picture.
    """
    if image.mode in _NUMERIC_MODES:
        gray = _scaled(np.asarray(image))
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or image.has_transparency_data:
        return _over_white(image)
    return _array(image if image.mode == "RGB" else image.convert("RGB"))


def _over_white(image: Image.Image) -> Rgb:
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return _array(Image.alpha_composite(white, rgba).convert("RGB"))


def _array(image: Image.Image) -> Rgb:
    return np.ascontiguousarray(np.asarray(image, np.uint8))


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return values of unknown bit depth as 8 bits: white is the smallest usual maximum that holds them all."""
    numbers = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(numbers.max(initial=0.0))
    if np.issubdtype(values.dtype, np.floating) and peak <= 1.0:
        white = 1.0
    else:
        white = next((level for level in _WHITE_LEVELS if peak <= level), peak)
    return np.asarray(np.clip(numbers * (255.0 / white) + 0.5, 0, 255), np.uint8)


def upright(rgb: Rgb, orientation: int) -> Rgb:
    """Return the picture as its EXIF orientation (1 to 8; others mean 1) says it should be seen."""
    if orientation in (5, 6, 7, 8):
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    return np.ascontiguousarray(rgb)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or where the metadata is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata must not lose a good picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def dpi(image: Image.Image) -> float | None:
    """Return dots an inch where the metadata gives a believable value: sides of 0.5 to 60 inches."""
    across, down = _resolution(image)
    if not 50 <= across <= 2400 or not 50 <= down <= 2400:
        return None
    believable = all(0.5 <= inches <= 60 for inches in (image.width / across, image.height / down))
    return round(max(across, down), 2) if believable else None


def stretch(image: Image.Image) -> tuple[float, float]:
    """Return the factors on width and height, one of them 1, that make a fax's oblong dots square."""
    across, down = _resolution(image)
    if dpi(image) is None or not 1 / _MAX_STRETCH <= across / down <= _MAX_STRETCH:
        return 1.0, 1.0
    return (max(1.0, down / across), max(1.0, across / down)) if abs(across - down) > 0.1 * across else (1.0, 1.0)


def _resolution(image: Image.Image) -> tuple[float, float]:
    found: Any = image.info.get("dpi")
    try:
        return float(found[0]), float(found[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return 0.0, 0.0
