"""Page pictures of a request made ready for tiling, with the height of their letters. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from backends.base import GenerationRequest
from backends.vlm.tiling import PagePlan, PageShape
from router.page_features_layout import glyph_height_px
from router.page_view import prepare
from router.types import Rgb


@dataclass(frozen=True, eq=False)
class Picture:
    """A page as it will be uploaded: `pixels` uint8 (height, width, 3) in [0, 255]."""

    pixels: Tensor
    shape: PageShape


def pictures(request: GenerationRequest, scale: float = 1.0) -> list[Picture]:
    """Return the request's pages, `scale` in (0, 1] times as large; letters are measured where they are not given."""
    given = request.glyph_heights_px or (None,) * len(request.images)
    return [_picture(image, height, scale) for image, height in zip(request.images, given, strict=True)]


def tile_signals(shown: Sequence[PagePlan], wanted: Sequence[PagePlan], scale: float) -> dict[str, float]:
    """Return how pages were shown, in numbers for provenance.

    `tiles` of all pages, `tile_glyph_px` the smallest letters' height, `tiles_reduced` how many tiles the bounds took
    away, `image_scale` where pages were shrunk.
    """
    signals = {"tiles": float(sum(plan.tiles for plan in shown))}
    glyphs = [plan.glyph_px for plan in shown if plan.glyph_px is not None]
    if glyphs:
        signals["tile_glyph_px"] = min(glyphs)
    reduced = sum(plan.tiles for plan in wanted) - sum(plan.tiles for plan in shown)
    if reduced > 0:
        signals["tiles_reduced"] = float(reduced)
    if scale < 1.0:
        signals["image_scale"] = scale
    return signals


def _picture(image: Rgb, glyph_height: float | None, scale: float) -> Picture:
    glyph = glyph_height if glyph_height is not None else glyph_height_px(prepare(image))
    if scale < 1.0:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        glyph = glyph * scale if glyph is not None else None
    # torch shares the memory of a picture and wants it writable and without gaps
    pixels = np.require(image, requirements=["C", "W"])
    return Picture(torch.from_numpy(pixels), PageShape(image.shape[1], image.shape[0], glyph))
