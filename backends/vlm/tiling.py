"""How many tiles a page is shown in. Knows sizes only: no pixels, no model.

Cost goes with tiles, so a page gets the fewest that keep its letters readable, within the bounds of the settings and
the token budget of the whole prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router.page_features_layout import tile_grid

Grid = tuple[int, int]
"""(columns, rows)."""


@dataclass(frozen=True)
class TileLimits:
    """Bounds of a page's tiles (thumbnail not counted) and of the prompt that holds all pages.

    `readable_glyph_px` is how tall a lower-case letter must stay after tiling; OCR engines ask for 8 to 10 pixels.
    `prompt_tokens` bounds image and text tokens of one prompt together.
    """

    min_tiles: int = 1
    max_tiles: int = 12
    readable_glyph_px: float = 8.0
    prompt_tokens: int = 8192

    def at_most(self, max_tiles: int | None) -> TileLimits:
        """Return the limits with a lower bound on tiles, if one is given."""
        if max_tiles is None or max_tiles >= self.max_tiles:
            return self
        return replace(self, max_tiles=max_tiles, min_tiles=min(self.min_tiles, max_tiles))


@dataclass(frozen=True)
class PagePlan:
    """How one page is shown: `tiles` counts the thumbnail, `glyph_px` is the letters' height after tiling if known."""

    grid: Grid
    tiles: int
    glyph_px: float | None


@dataclass(frozen=True)
class PageShape:
    """What a plan is made from; `glyph_height_px` is the letters' height in page pixels, None where unknown."""

    width_px: int
    height_px: int
    glyph_height_px: float | None = None


def plan_pages(pages: Sequence[PageShape], limits: TileLimits, tile_px: int, budget: int) -> list[PagePlan]:
    """Return one plan a page; `budget` bounds the tiles of all pages together.

    Over the budget the page with the most tiles is made coarser, again and again. When every page is at its coarsest
    the plans may still exceed the budget: such pages do not fit into one prompt.
    """
    choices = [_choices(page, limits, tile_px) for page in pages]
    chosen = [_fewest_readable(plans, page, limits) for plans, page in zip(choices, pages, strict=True)]
    while sum(plans[i].tiles for plans, i in zip(choices, chosen, strict=True)) > budget:
        reducible = [n for n, i in enumerate(chosen) if i > 0]
        if not reducible:
            break
        largest = max(reducible, key=lambda n: choices[n][chosen[n]].tiles)
        chosen[largest] -= 1
    return [plans[i] for plans, i in zip(choices, chosen, strict=True)]


def shown_tiles(grid: Grid) -> int:
    """Return the tiles that the model sees: a cut page comes with a thumbnail."""
    cut = grid[0] * grid[1]
    return cut + 1 if cut > 1 else 1


def _choices(page: PageShape, limits: TileLimits, tile_px: int) -> list[PagePlan]:
    """Every grid that some upper bound leads to, coarsest first."""
    bounds = range(max(1, limits.min_tiles), limits.max_tiles + 1)
    grids = {tile_grid(page.width_px, page.height_px, bound, limits.min_tiles, tile_px) for bound in bounds}
    ordered = sorted(grids, key=lambda grid: grid[0] * grid[1])
    return [PagePlan(grid, shown_tiles(grid), _glyph_px(page, grid, tile_px)) for grid in ordered]


def _glyph_px(page: PageShape, grid: Grid, tile_px: int) -> float | None:
    """The letters' smaller extent after the page is stretched to its grid; enlarging adds no detail."""
    if page.glyph_height_px is None:
        return None
    scale = min(1.0, grid[0] * tile_px / page.width_px, grid[1] * tile_px / page.height_px)
    return page.glyph_height_px * scale


def _fewest_readable(plans: Sequence[PagePlan], page: PageShape, limits: TileLimits) -> int:
    if page.glyph_height_px is None:
        return len(plans) - 1
    enough = min(limits.readable_glyph_px, page.glyph_height_px)
    heights = [plan.glyph_px or 0.0 for plan in plans]
    readable = (i for i, height in enumerate(heights) if height >= enough)
    return next(readable, heights.index(max(heights)))
