"""A decoded Pillow picture of any mode to RGB, a band of rows at a time, so that it never lies in memory twice.

Transparent becomes white, deep pixels are scaled and not clipped. Colour profiles are ignored: they shift shades, and a
damaged one would lose the picture. Must not know files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:  # it takes longer to load than everything else here, and few pictures need it
    import numpy as np
    from numpy.typing import NDArray

_NUMERIC_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_WHITE_LEVELS = (255.0, 4095.0, 65535.0)
_BAND_PIXELS = 1_000_000
BAND_BYTES = 16 * _BAND_PIXELS
"""What one band takes at most while it is made, but for a picture whose single row has more pixels than a band."""

ToRgb = Callable[[Image.Image], Image.Image]


def rgb_rows(image: Image.Image, size: tuple[int, int]) -> Iterator[bytes]:
    """Yield the picture's rows, 3 bytes a pixel, without padding; `size` in pixels is its own or a smaller one."""
    to_rgb = _conversion(image)
    if size == image.size:
        for band in _bands(image):
            yield to_rgb(band).tobytes()
    else:
        yield from _reduced(image, to_rgb, size)


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))


def _reduced(image: Image.Image, to_rgb: ToRgb, size: tuple[int, int]) -> Iterator[bytes]:
    """Yield the same rows as reducing the whole picture would give: a band brings the rows that its edges look at."""
    (width, height), step = size, image.height / size[1]
    rows = max(1, math.floor(_BAND_PIXELS / (image.width * step)))
    around = math.ceil(step) + 1
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        first = max(0, math.floor(top * step) - around)
        last = min(image.height, math.ceil(bottom * step) + around)
        band = to_rgb(image.crop((0, first, image.width, last)))
        box = (0, top * step - first, image.width, min(bottom * step - first, band.height))
        yield band.resize((width, bottom - top), Image.Resampling.HAMMING, box).tobytes()


def _conversion(image: Image.Image) -> ToRgb:
    if image.mode in _NUMERIC_MODES:
        return _from_numbers(image)
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or image.has_transparency_data:
        return _over_white
    return lambda band: band if band.mode == "RGB" else band.convert("RGB")


def _over_white(band: Image.Image) -> Image.Image:
    if band.mode == "La":
        band = band.convert("LA")
    rgba = band if band.mode == "RGBA" else band.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_numbers(image: Image.Image) -> ToRgb:
    """White is the smallest usual maximum of a bit depth that holds all of the picture's values."""
    import numpy as np

    peak, floating = 0.0, image.mode == "F"
    for band in _bands(image):
        peak = max(peak, float(_numbers(band).max(initial=0.0)))
    white = 1.0 if floating and peak <= 1.0 else next((level for level in _WHITE_LEVELS if peak <= level), peak)

    def scaled(band: Image.Image) -> Image.Image:
        shades = np.clip(_numbers(band) * (255.0 / white) + 0.5, 0, 255).astype(np.uint8)
        return Image.fromarray(shades).convert("RGB")

    return scaled


def _numbers(band: Image.Image) -> NDArray[np.float32]:
    import numpy as np

    values: NDArray[Any] = np.asarray(band)
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
