"""What to ask of a request that does not fit into memory even alone. Knows tiles and sizes, no device."""

from __future__ import annotations

from backends.vlm.reading import Reading
from router.errors import BackendError, RetryableError

LADDER: tuple[tuple[int, float], ...] = ((6, 1.0), (3, 1.0), (1, 1.0), (1, 0.5))
"""The most tiles of a page and the scale of its sides, one after the other."""


def shrink(reading: Reading) -> bool:
    """Prepare the request with less to show, or fail it as retryable when nothing less is left; return which."""
    while reading.remake is not None and reading.shrunk < len(LADDER):
        tiles, scale = LADDER[reading.shrunk]
        reading.shrunk += 1
        if tiles >= reading.prepared.tiles and scale == 1.0:
            continue
        try:
            reading.prepared = reading.remake(tiles, scale)
        except BackendError as exc:
            reading.fail(exc)
            return False
        return True
    reading.fail(RetryableError("the device has no memory for this document, however small its pages; try again later"))
    return False
