"""Tiny documents, and how long submitting them at a pace takes. Knows nothing of what becomes of them."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw


def pictures(count: int) -> list[bytes]:
    """Return that many different tiny pages as PNG."""
    page = Image.new("L", (64, 96), 255)
    ImageDraw.Draw(page).text((4, 4), "TOTAL 12.30", fill=0)
    made = []
    for number in range(count):
        for bit in range(24):
            page.putpixel((8 + bit, 90), 255 if number >> bit & 1 else 0)
        buffer = io.BytesIO()
        page.save(buffer, "PNG")
        made.append(buffer.getvalue())
    return made


def paced(submit: Callable[[int], float], numbers: Sequence[int], rate_per_s: float) -> list[float]:
    """Return what `submit` returns for each number, called at that rate, or as fast as it goes where it is slower."""
    began, found = time.perf_counter(), []
    for turn, number in enumerate(numbers):
        time.sleep(max(0.0, began + turn / rate_per_s - time.perf_counter()))
        found.append(submit(number))
    return found


def quantiles(taken_ms: Sequence[float], name: str) -> dict[str, float]:
    """Return median and 99th percentile of times as `NAME_p50_ms` and `NAME_p99_ms`."""
    found = statistics.quantiles(taken_ms, n=100)
    return {f"{name}_p50_ms": round(found[49], 2), f"{name}_p99_ms": round(found[98], 2)}
