"""Device tiling against the reference image processors, and the plan of tiles."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from backends.vlm import preprocess  # noqa: E402
from backends.vlm.preprocess import PixelRule  # noqa: E402
from backends.vlm.tiling import PageShape, TileLimits, plan_pages, shown_tiles  # noqa: E402
from router.page_features_layout import tile_grid  # noqa: E402

CPU = torch.device("cpu")
TILE_PX = 56
SIDES = (1, 7, 56, 57, 111, 230, 400)
SIZES = [(width, height) for width in SIDES for height in SIDES]
GOT = transformers.GotOcr2ImageProcessor(size={"height": TILE_PX, "width": TILE_PX}, crop_to_patches=True)
MLLAMA = transformers.MllamaImageProcessor(size={"height": TILE_PX, "width": TILE_PX}, max_image_tiles=4)


def page_of(width, height):
    """Smooth shades with sharp letters-like strokes on them: overshoot and rounding both show."""
    rng = np.random.default_rng(width * 1000 + height)
    shade = np.linspace(0, 255, width * height).reshape(height, width)
    page = np.stack([shade, shade[::-1], np.full_like(shade, 255)], axis=-1).astype(np.uint8)
    page[rng.random((height, width)) < 0.1] = 0
    return torch.from_numpy(page)


def levels(pixels, rule):
    """Undo the normalisation: pixels in [0, 255]."""
    mean, std = torch.tensor(rule.mean)[:, None, None], torch.tensor(rule.std)[:, None, None]
    return (pixels * std + mean) * 255


@pytest.mark.parametrize("max_tiles", [1, 2, 5, 12])
def test_tiles_equal_the_reference_processor_s(max_tiles):
    rule = PixelRule.of(GOT)
    for width, height in SIZES:
        page = page_of(width, height)
        grid = tile_grid(width, height, max_tiles, tile_px=TILE_PX)
        ours = preprocess.internvl_pixels([page], [grid], rule, CPU, torch.float32)
        theirs = GOT(page.permute(2, 0, 1), max_patches=max_tiles, return_tensors="pt")["pixel_values"]
        assert ours.shape == theirs.shape, (width, height)
        assert (levels(ours, rule) - levels(theirs, rule)).abs().max() <= 1.001, (width, height)


def test_resizing_on_a_device_without_a_byte_kernel_gives_the_same_levels():
    for processor in (GOT, MLLAMA):
        rule = PixelRule.of(processor)
        for width, height in SIZES:
            page = preprocess.upload_page(page_of(width, height), CPU)
            for size in ((TILE_PX, TILE_PX), (2 * TILE_PX, 3 * TILE_PX)):
                passes = preprocess.resize_in_passes(page, *size, rule).short()
                difference = (passes - preprocess._resize(page, *size, rule)).abs()
                # that kernel's weights are 16-bit integers: one pixel in ten thousand may round twice
                assert difference.max() <= 2, (width, height, size)
                assert (difference > 1).float().mean() < 2e-4, (width, height, size)


@pytest.mark.parametrize("min_tiles", [1, 3, 6])
@given(width=st.integers(1, 5000), height=st.integers(1, 5000), max_tiles=st.integers(6, 12))
@settings(max_examples=200)
def test_the_grid_is_the_reference_processor_s(min_tiles, width, height, max_tiles):
    reference = transformers.models.got_ocr2.image_processing_got_ocr2.get_optimal_tiled_canvas
    grid = tile_grid(width, height, max_tiles, min_tiles, 448)
    assert grid == reference((height, width), (448, 448), min_tiles, max_tiles)


@pytest.mark.parametrize("max_tiles", [1, 2, 4])
def test_the_llama_canvas_equals_the_reference_processor_s(max_tiles):
    rule = PixelRule.of(MLLAMA)
    for width, height in SIZES:
        page = page_of(width, height)
        grid = preprocess.canvas_grid(width, height, TILE_PX, max_tiles)
        theirs = MLLAMA([[page.permute(2, 0, 1)]], max_image_tiles=max_tiles, return_tensors="pt")
        ours = preprocess.llama_pixels([page], [grid], rule, max_tiles, CPU, torch.float32)
        assert ours.shape == theirs["pixel_values"].shape
        count = grid[0] * grid[1]
        assert theirs["num_tiles"] == [[count]], (width, height)
        assert preprocess.aspect_ratio_id(grid, max_tiles) == theirs["aspect_ratio_ids"].item(), (width, height)
        both = levels(ours[0, 0, :count], rule), levels(theirs["pixel_values"][0, 0, :count], rule)
        assert (both[0] - both[1]).abs().max() <= 1.001, (width, height)
        assert not ours[0, 0, count:].any()


@given(width=st.integers(1, 6000), height=st.integers(1, 6000))
@settings(max_examples=500)
def test_llama_sizes_are_the_reference_processor_s(width, height):
    reference = transformers.models.mllama.image_processing_mllama
    rows_px, columns_px = reference.get_optimal_tiled_canvas(height, width, 4, 560)
    grid = preprocess.canvas_grid(width, height, 560, 4)
    assert (grid[1] * 560, grid[0] * 560) == (rows_px, columns_px)
    fitted = reference.get_image_size_fit_to_canvas(height, width, rows_px, columns_px, 560)
    assert preprocess._fitted(height, width, grid, 560) == tuple(int(side) for side in fitted)


def plan(width, height, glyph, budget=1000, pages=1, **limits):
    return plan_pages([PageShape(width, height, glyph)] * pages, TileLimits(**limits), 448, budget)


def test_large_letters_need_fewer_tiles_than_small_ones():
    tiles = [plan(1654, 2339, glyph)[0].tiles for glyph in (60, 30, 20, 14)]
    assert tiles == sorted(tiles)
    assert tiles[0] < tiles[-1]
    for glyph in (60, 30, 20):
        assert plan(1654, 2339, glyph)[0].glyph_px >= 8


def test_letters_that_no_grid_keeps_readable_get_the_finest_grid():
    [tiny] = plan(4000, 4000, 5)
    assert tiny.glyph_px == max(
        5 * min(c * 448 / 4000, r * 448 / 4000) for c, r in {tile_grid(4000, 4000, m) for m in range(1, 13)}
    )


def test_a_page_of_unknown_letters_is_shown_as_the_reference_does():
    [unknown] = plan(1654, 2339, None)
    assert unknown.grid == tile_grid(1654, 2339)
    assert unknown.glyph_px is None


def test_letters_small_on_the_page_itself_need_no_enlarging():
    assert plan(400, 400, 6)[0].tiles == 1


@given(
    sides=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=8),
    glyph=st.none() | st.floats(1, 100),
    bounds=st.tuples(st.integers(1, 12), st.integers(1, 12)).map(sorted),
    budget=st.integers(1, 120),
)
@settings(max_examples=200)
def test_plans_stay_within_bounds_and_budget(sides, glyph, bounds, budget):
    pages = [PageShape(width, height, glyph) for width, height in sides]
    plans = plan_pages(pages, TileLimits(*bounds), 448, budget)
    for chosen in plans:
        assert bounds[0] <= chosen.grid[0] * chosen.grid[1] <= bounds[1] or bounds[0] > 1
        assert chosen.tiles == shown_tiles(chosen.grid)
    if sum(chosen.tiles for chosen in plans) > budget:
        coarsest = plan_pages(pages, TileLimits(*bounds), 448, 0)
        assert plans == coarsest


def test_the_page_with_the_most_tiles_gives_way_first():
    shapes = [PageShape(1654, 2339, 14), PageShape(400, 400, 20)]
    full = plan_pages(shapes, TileLimits(), 448, 1000)
    tight = plan_pages(shapes, TileLimits(), 448, sum(p.tiles for p in full) - 1)
    assert tight[0].tiles < full[0].tiles
    assert tight[1] == full[1]


def test_fewer_tiles_can_be_asked_for():
    limits = TileLimits(min_tiles=4, max_tiles=12)
    assert (limits.at_most(2).min_tiles, limits.at_most(2).max_tiles) == (2, 2)
    assert limits.at_most(None) == limits.at_most(20) == limits
