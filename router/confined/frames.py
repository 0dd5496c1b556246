"""Pictures of a file that are no pages: the frames of an animation, the further pictures of an MPO. Decodes nothing."""

from __future__ import annotations

from typing import Any

from PIL import Image

_MP_COUNT = 0xB001
_GAIN_MAPS = (b"hdr-gain-map", b"hdrgainmap")


def notes_on_frames(image: Image.Image, data: bytes) -> tuple[str, ...]:
    """Return a note on the pictures that are not read, none where the file has only one; TIFF pages are not asked."""
    count = _count(image, data)
    if count < 2:
        return ()
    others = "1 other" if count == 2 else f"{count - 1} others"
    return (f"only the first of the file's {count} pictures is read, {others} left out; send each as a file",)


def _count(image: Image.Image, data: bytes) -> int:
    """Return how many pictures the file says that it has; 1 where that cannot be told."""
    try:
        multi: dict[int, Any] | None = image._getmp() if hasattr(image, "_getmp") else None
        frames = int(multi[_MP_COUNT]) if multi else int(getattr(image, "n_frames", 1))
    except Exception:  # damaged metadata must not lose a good picture
        return 1
    # phones put the brightness of an HDR photo into a second picture, which shows nothing else
    return frames - 1 if multi and any(name in data for name in _GAIN_MAPS) else frames
