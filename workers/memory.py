"""How much memory a worker may take at most, as it follows from the settings. Knows no container and measures nothing.

    250 MB + readers x (lane + document + idle decoders) + decoders at work x the larger of their bounds

A reader is what reads one document at a time: a process or a thread of the pool. Containers get at least that much.
"""

from __future__ import annotations

from router.documents import Limits
from router.documents.decoder_pool import MAX_AT_WORK, MAX_IDLE

_PROCESS_BYTES = 250_000_000
"""The pool's own process with its sweeper and metrics, beside the readers."""
_IDLE_DECODER_BYTES = 50_000_000
_POOLS = 2
_BYTES_PIXEL = 3
_PICTURES_IN_WORK = 2
INTAKE_BYTES = 100_000_000
OCR_LANE_BYTES = 700_000_000
"""Measured at its peak over the samples, with what was imported: 668 MB for `ocr-fast`, 704 MB for `ocr-deep`."""


def document_bytes(limits: Limits) -> int:
    """Return the most that an open document takes of its reader: its bytes, kept pictures, one being turned upright."""
    pixels = max(limits.max_picture_pixels, limits.max_render_pixels)
    return limits.max_bytes + limits.max_cached_bytes + _PICTURES_IN_WORK * _BYTES_PIXEL * pixels


def worker_bytes(limits: Limits, readers: int, lane_bytes: int, processes: bool = True) -> int:
    """Return the most that a worker takes with so many readers, which are processes or threads of one.

    `lane_bytes` is what one reader's lane takes; threads share theirs, so that it is then counted once.
    """
    lanes, pools = (readers, readers) if processes else (1, 1)
    at_work = readers if processes else min(readers, MAX_AT_WORK)
    decoders = at_work * max(limits.worker_memory_bytes, limits.picture_memory_bytes)
    idle = pools * _POOLS * MAX_IDLE * _IDLE_DECODER_BYTES
    return _PROCESS_BYTES + lanes * lane_bytes + readers * document_bytes(limits) + decoders + idle
