"""What a picture file says of itself: resolution, orientation. Believes only what can be; decodes nothing."""

from __future__ import annotations

from typing import Any

from PIL import Image

_ORIENTATION = 0x0112
_MAX_STRETCH = 4.0


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
