"""Pages -> tiles of normalised pixels, on the device. Knows pixels only: no prompts, no plans.

A page is uploaded once as bytes; cutting, resizing and normalising happen where the model is. Before normalising,
the pixels equal the reference image processors' within 1/255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torchvision.transforms import InterpolationMode  # type: ignore[import-untyped]
from torchvision.transforms.v2 import functional as images  # type: ignore[import-untyped]

from backends.vlm.family import upload
from backends.vlm.tiling import Grid

_MODES = {2: InterpolationMode.BILINEAR, 3: InterpolationMode.BICUBIC}
"""Pillow's numbers of resampling filters, as processors store them."""


@dataclass(frozen=True)
class PixelRule:
    """A checkpoint's way from bytes to model input; `mean` and `std` are of pixels in [0, 1]."""

    tile_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mode: InterpolationMode

    @classmethod
    def of(cls, processor: Any) -> PixelRule:
        """Return the rule that an image processor holds."""
        mean, std = tuple(processor.image_mean), tuple(processor.image_std)
        return cls(int(processor.size["height"]), mean, std, _MODES[int(processor.resample)])

    def normalise(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        """Return pixels (..., 3, height, width) of [0, 255] scaled, centred and divided by their spread."""
        mean, std = _constants(self, pixels.device)
        return ((pixels.float() - mean) / std).to(dtype)


@lru_cache(16)
def _constants(rule: PixelRule, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and spread of bytes on the device: making them anew would wait for the device every time."""
    values = torch.tensor([rule.mean, rule.std])[:, :, None, None] * 255
    return values[0].to(device), values[1].to(device)


def upload_page(page: Tensor, device: torch.device) -> Tensor:
    """Return a page (height, width, 3) as uint8 of shape (3, height, width) on the device."""
    return upload(page, device).permute(2, 0, 1).contiguous()


def cut_page(page: Tensor, grid: Grid, rule: PixelRule) -> Tensor:
    """Return uint8 tiles (n, 3, tile, tile) of a page (3, height, width), row by row, the thumbnail last.

    The page is stretched to its grid as InternVL does (arXiv 2404.16821); one tile alone has no thumbnail.
    """
    columns, rows = grid
    side = rule.tile_px
    tiles = rearrange(
        _resize(page, rows * side, columns * side, rule), "c (r h) (k w) -> (r k) c h w", r=rows, k=columns
    )
    if columns * rows == 1:
        return tiles
    return torch.cat([tiles, _resize(page, side, side, rule)[None]])


def internvl_pixels(
    pages: Sequence[Tensor], grids: Sequence[Grid], rule: PixelRule, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return model input (tiles of all pages, 3, tile, tile)."""
    shown = zip(pages, grids, strict=True)
    return torch.cat([rule.normalise(cut_page(upload_page(page, device), grid, rule), dtype) for page, grid in shown])


def canvas_grid(width_px: int, height_px: int, tile_px: int, max_tiles: int) -> Grid:
    """Return (columns, rows) of the Llama canvas: the least enlargement, else the least reduction, then the smallest.

    Only arrangements of up to `max_tiles` count (Llama 3.2 Vision's rule).
    """
    # the reference lists arrangements by their first number, which it reads as rows: ties depend on that order
    grids = [(c, r) for r in range(1, max_tiles + 1) for c in range(1, max_tiles + 1) if c * r <= max_tiles]
    scales = [min(c * tile_px / width_px, r * tile_px / height_px) for c, r in grids]
    enlarging = [scale for scale in scales if scale >= 1]
    best = min(enlarging) if enlarging else max(scales)
    fitting = [grid for grid, scale in zip(grids, scales, strict=True) if scale == best]
    return min(fitting, key=lambda grid: grid[0] * grid[1])


def aspect_ratio_id(grid: Grid, model_tiles: int) -> int:
    """Return the model's number (from 1) of a grid among all grids of up to `model_tiles`; 0 would mean no picture."""
    numbers = range(1, model_tiles + 1)
    supported = [(rows, columns) for rows in numbers for columns in numbers if rows * columns <= model_tiles]
    return supported.index((grid[1], grid[0])) + 1


def fit_page(page: Tensor, grid: Grid, rule: PixelRule) -> Tensor:
    """Return uint8 tiles (n, 3, tile, tile) of a page shrunk or enlarged into its canvas, black beyond it."""
    columns, rows = grid
    height, width = _fitted(page.shape[-2], page.shape[-1], grid, rule.tile_px)
    canvas = page.new_zeros(3, rows * rule.tile_px, columns * rule.tile_px)
    canvas[:, :height, :width] = _resize(page, height, width, rule)
    return rearrange(canvas, "c (r h) (k w) -> (r k) c h w", r=rows, k=columns)


def llama_pixels(
    pages: Sequence[Tensor], grids: Sequence[Grid], rule: PixelRule, model_tiles: int, device: torch.device,
    dtype: torch.dtype,
) -> Tensor:  # fmt: skip
    """Return model input (pages, 1, model_tiles, 3, tile, tile); tiles that a page does not fill are zero."""
    side = rule.tile_px
    pixels = torch.zeros(len(pages), 1, model_tiles, 3, side, side, device=device, dtype=dtype)
    for row, (page, grid) in enumerate(zip(pages, grids, strict=True)):
        tiles = rule.normalise(fit_page(upload_page(page, device), grid, rule), dtype)
        pixels[row, 0, : len(tiles)] = tiles
    return pixels


def _fitted(height_px: int, width_px: int, grid: Grid, tile_px: int) -> tuple[int, int]:
    """Height and width inside the canvas: aspect kept, no side beyond the canvas, enlarged to one tile at most."""
    target_width = min(max(width_px, tile_px), grid[0] * tile_px)
    target_height = min(max(height_px, tile_px), grid[1] * tile_px)
    scale_height, scale_width = target_height / height_px, target_width / width_px
    if scale_width < scale_height:
        return min(math.floor(height_px * scale_width) or 1, target_height), target_width
    return target_height, min(math.floor(width_px * scale_height) or 1, target_width)


def _resize(page: Tensor, height: int, width: int, rule: PixelRule) -> Tensor:
    """Return the page (3, height, width) resized with antialiasing, uint8."""
    if page.device.type == "cpu":
        resized: Tensor = images.resize(page, [height, width], interpolation=rule.mode, antialias=True)
        return resized
    return resize_in_passes(page, height, width, rule)


def resize_in_passes(page: Tensor, height: int, width: int, rule: PixelRule) -> Tensor:
    """Return what the byte kernel of the CPU gives, on a device that has none.

    That kernel goes along rows, rounds to bytes, then along columns: where bicubic weights overshoot at sharp edges,
    one pass over both gives other pixels.
    """
    for size in ([page.shape[-2], width], [height, width]):
        floats = images.resize(page.float(), size, interpolation=rule.mode, antialias=True)
        page = floats.round().clamp(0, 255).to(torch.uint8)
    return page
