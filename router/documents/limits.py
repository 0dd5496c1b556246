"""Bounds on what a document may cost to read. Knows no file format; every reader of this package is bound by them."""

from __future__ import annotations

from pydantic import Field

from router.types import Frozen


class Limits(Frozen):
    """Safe defaults for documents from strangers; raise them only for a source that is trusted.

    An image beyond `max_page_pixels` or `max_page_side_px` is refused, one beyond `max_picture_pixels` is reduced; a
    PDF page is rendered smaller instead, down to `min_render_dpi`. The time limits hold for the processes that decode:
    for one page, and for opening a whole PDF. `picture_memory_bytes` is all that such a process has for pictures, and
    `worker_memory_bytes` for PDFs.
    """

    max_bytes: int = Field(default=100_000_000, ge=1)
    max_pages: int = Field(default=500, ge=1)
    max_page_pixels: int = Field(default=100_000_000, ge=1)
    max_total_pixels: int = Field(default=10_000_000_000, ge=1)
    max_picture_pixels: int = Field(default=40_000_000, ge=10_000)
    max_page_side_px: int = Field(default=30_000, ge=1, le=32_767)
    max_jpeg_scans: int = Field(default=100, ge=1)
    max_words_page: int = Field(default=20_000, ge=1)
    max_words_total: int = Field(default=500_000, ge=1)
    render_dpi: float = Field(default=200.0, ge=36.0, le=1200.0)
    min_render_dpi: float = Field(default=20.0, ge=1.0)
    max_render_scale: float = Field(default=8.0, gt=0.0, le=32.0)
    max_render_pixels: int = Field(default=25_000_000, ge=10_000)
    page_timeout_s: float = Field(default=30.0, gt=0.0)
    document_timeout_s: float = Field(default=300.0, gt=0.0)
    worker_memory_bytes: int = Field(default=2_000_000_000, ge=200_000_000)
    picture_memory_bytes: int = Field(default=700_000_000, ge=150_000_000)
    pages_per_range: int = Field(default=16, ge=1)
    max_cached_pages: int = Field(default=4, ge=1)
    max_cached_bytes: int = Field(default=128_000_000, ge=0)
