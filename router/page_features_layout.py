"""How a page is laid out: letters' size, lines, columns, ruling lines, pictures.

Works on boxes, whether they come from a picture or from a text layer, so that both kinds of page are measured alike.
Must not know weights or scores.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from router.page_view import Boxes, Mask, PageView, Patch, boxes_of
from router.quantiles import median, quantile

TILE_PX = 448
MAX_TILES = 12
_LETTER_OF_WORD = 0.7
"""Height of a lower-case letter, as a share of the height of a word's box."""


@cache
def tile_grid(
    width_px: int, height_px: int, max_tiles: int = MAX_TILES, min_tiles: int = 1, tile_px: int = TILE_PX
) -> tuple[int, int]:
    """Return (columns, rows) of square tiles that the fast model cuts a picture into.

    The grid nearest in aspect ratio wins; on a tie the larger one only if the picture covers over half of it
    (InternVL's dynamic preprocessing, arXiv 2404.16821).
    """
    numbers = range(1, max_tiles + 1)
    grids = [(c, r) for c in numbers for r in numbers if min_tiles <= c * r <= max_tiles]
    aspect, best, best_distance = width_px / height_px, (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        distance = abs(aspect - columns / rows)
        covered = width_px * height_px > 0.5 * tile_px**2 * columns * rows
        if distance < best_distance or (distance == best_distance and covered):
            best, best_distance = (columns, rows), distance
    return best


def tiled_height_px(glyph_height_px: float, width_px: int, height_px: int) -> float:
    """Return a glyph's height in pixels after the page is resized to its grid of tiles.

    A page smaller than its grid is enlarged, which adds no detail: the height is then the page's own.
    """
    _, rows = tile_grid(width_px, height_px)
    return glyph_height_px * min(1.0, rows * TILE_PX / height_px)


def glyph_height_px(view: PageView) -> float | None:
    """Return the median height of the letters in page pixels; squared heights weigh, so that specks do not."""
    heights = _ink_heights(view)
    if heights.size < 8:
        return None
    order = np.sort(heights)
    return float(order[int(np.searchsorted(np.cumsum(order**2), np.sum(order**2) / 2))])


def specks(view: PageView, glyph_height: float) -> float:
    """Return the specks of ink, under a third of a letter's height, for each letter (dots and commas: about 0.2)."""
    heights = _ink_heights(view)
    small = heights < glyph_height / 3
    return float(small.sum() / max(1, (~small).sum()))


def picture_share(view: PageView) -> float:
    """Return the share of the page under photographs, logos and solid areas."""
    return float(view.picture.mean())


def ruling_length(view: PageView) -> float:
    """Return the length of all ruling lines, in page heights."""
    pieces = (_few_boxes(mask)[:, side] for mask, side in ((view.horizontal, 2), (view.vertical, 3)))
    return float(sum(piece.sum() for piece in pieces) / view.grey.shape[0])


def ruling_crossings(view: PageView) -> int:
    """Return how many times a horizontal ruling line meets a vertical one: the corners of table cells."""
    reach = np.ones((5, 5), np.uint8)
    both = cv2.bitwise_and(cv2.dilate(view.horizontal, reach), cv2.dilate(view.vertical, reach))
    return len(_few_boxes(both))


def word_boxes(view: PageView, glyph_height: float | None, skew_deg: float) -> Boxes:
    """Return the boxes of words of a picture in page pixels, after turning the page upright."""
    working_glyph = (glyph_height or 8.0 / view.scale) * view.scale
    upright = _sheared(view.text, skew_deg) if abs(skew_deg) > 0.3 else view.text
    gap = max(3, round(0.7 * working_glyph))
    boxes = boxes_of(cv2.morphologyEx(upright, cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8)))
    words = boxes[(boxes[:, 3] >= 0.5 * working_glyph) & (boxes[:, 3] <= 4 * working_glyph)]
    return words / view.scale


def lines_and_columns(boxes: Boxes) -> tuple[int, float]:
    """Return the number of text lines, and how many pieces far apart the fuller lines have (their upper quartile)."""
    if not len(boxes):
        return 0, 0.0
    height = median(boxes[:, 3])
    centres = boxes[:, 1] + boxes[:, 3] / 2
    order = np.argsort(centres)
    line = np.concatenate([[0], np.cumsum(np.diff(centres[order]) > 0.5 * height)])
    boxes = boxes[order][np.lexsort((boxes[order, 0], line))]
    right = boxes[:-1, 0] + boxes[:-1, 2]
    same = line[1:] == line[:-1]
    wide = same & (boxes[1:, 0] - right > 2.0 * height)
    pieces = 1 + np.bincount(line[1:][wide], minlength=int(line[-1]) + 1)
    return len(pieces), quantile(pieces, 0.75)


def _ink_heights(view: PageView) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *(_patch_heights(patch) for patch in view.patches)])


def _patch_heights(patch: Patch) -> NDArray[np.float64]:
    x, y, width, height = patch.pieces.T
    side_y, side_x = patch.ink.shape
    inside = (x > 0) & (y > 0) & (x + width < side_x) & (y + height < side_y)
    plausible = (height >= 2) & (height < side_y / 3) & (width <= 12 * height) & (height <= 8 * width)
    # letters that touch form one piece with all ascenders and descenders: a blurred page's letters would look larger
    letters = np.where(width > 1.8 * height, _LETTER_OF_WORD * height, height)
    heights: NDArray[np.float64] = letters[inside & plausible]
    return heights


def _few_boxes(mask: Mask) -> Boxes:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.array([cv2.boundingRect(outline) for outline in outlines], np.float64).reshape(-1, 4)


def _sheared(mask: Mask, angle_deg: float) -> Mask:
    height, width = mask.shape
    slope = float(np.tan(np.radians(angle_deg)))
    shear = np.array([[1, 0, 0], [-slope, 1, slope * width / 2]], np.float32)
    return cv2.warpAffine(mask, shear, (width, height), flags=cv2.INTER_NEAREST)  # type: ignore[no-any-return]
