"""Each signal moves the way it should on pages drawn here."""

import cv2
import numpy as np
import pytest

from router.features import FEATURES, document_features, needs_picture, page_features
from router.page_features_layout import MAX_TILES, lines_and_columns, tile_grid, tiled_height_px
from router.types import Document, Page, Word

LINES = ["The", "quick", "brown", "fox", "jumps", "over", "13", "lazy", "dogs,", "24.50"]


def draw(lines=24, columns=1, scale=0.8, width=1000, height=1400):
    rgb = np.full((height, width, 3), 255, np.uint8)
    for i in range(lines):
        for c in range(columns):
            text = " ".join(LINES[: 9 // columns])
            place = (40 + c * (width - 60) // columns, 60 + i * (height - 80) // lines)
            cv2.putText(rgb, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale / columns**0.5, (0, 0, 0), 2, cv2.LINE_AA)
    return rgb


def page_of(rgb, **more):
    return Page(number=1, width_px=rgb.shape[1], height_px=rgb.shape[0], **more)


def signals(rgb):
    return page_features(rgb, page_of(rgb))


def rotated(rgb, angle_deg):
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1)
    return cv2.warpAffine(rgb, matrix, (width, height), borderValue=(255, 255, 255))


def grained(rgb, sigma):
    grain = np.random.default_rng(0).normal(0, sigma, rgb.shape)
    return np.clip(rgb * 0.8 + 20 + grain, 0, 255).astype(np.uint8)


def speckled(rgb, share):
    dots = (np.random.default_rng(0).random((rgb.shape[0] // 3, rgb.shape[1] // 3)) < share).astype(np.uint8)
    dots = cv2.resize(dots, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return np.where(dots[..., None] > 0, np.uint8(0), rgb)


def shaded(rgb, darkest):
    return (rgb * np.linspace(1, darkest, rgb.shape[1])[None, :, None]).astype(np.uint8)


def faded(rgb, share):
    return (255 - (255 - rgb.astype(float)) * share).astype(np.uint8)


def compressed(rgb, quality):
    grained_once = grained(rgb, 3)
    data = cv2.imencode(".jpg", grained_once, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def halved(rgb, times):
    return cv2.resize(rgb, None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)


def table(rows):
    rgb = draw(lines=8)
    for i in range(rows + 1):
        cv2.line(rgb, (30, 700 + i * 600 // rows), (970, 700 + i * 600 // rows), (0, 0, 0), 2)
    for x in (30, 500, 970):
        cv2.line(rgb, (x, 700), (x, 1300), (0, 0, 0), 2)
    return rgb


def pictured(side):
    rgb = draw(lines=10)
    rgb[800 : 800 + side, 200 : 200 + side] = np.random.default_rng(0).integers(40, 120, (side, side, 1))
    return rgb


RISING = {
    "blur": [draw(), cv2.GaussianBlur(draw(), (0, 0), 1.5), cv2.GaussianBlur(draw(), (0, 0), 3)],
    "skew": [draw(), rotated(draw(), 2), rotated(draw(), -6)],
    "noise": [draw(), grained(draw(), 5), grained(draw(), 20)],
    "specks": [draw(), speckled(draw(), 0.005), speckled(draw(), 0.02)],
    "illumination": [draw(), shaded(draw(), 0.7), shaded(draw(), 0.4)],
    "blockiness": [draw(), compressed(draw(), 20), compressed(draw(), 6)],
    "line_density": [draw(lines=8), draw(lines=20), draw(lines=36, scale=0.6)],
    "columns": [draw(columns=1), draw(columns=2), draw(columns=4)],
    "ruling_length": [draw(), table(2), table(6)],
    "ruling_crossings": [draw(), table(2), table(6)],
    "picture_share": [draw(), pictured(150), pictured(400)],
}
FALLING = {
    "contrast": [draw(), faded(draw(), 0.5), faded(draw(), 0.2)],
    "tiled_glyph_height": [draw(), halved(draw(), 1.5), halved(draw(), 2)],
}


@pytest.mark.parametrize("name", RISING)
def test_a_signal_rises_with_its_defect(name):
    values = [signals(rgb)[name] for rgb in RISING[name]]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("name", FALLING)
def test_a_signal_falls_with_its_defect(name):
    values = [signals(rgb)[name] for rgb in FALLING[name]]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("angle_deg", [-9.0, -3.0, 0.0, 1.0, 5.0])
def test_skew_is_measured_to_a_third_of_a_degree(angle_deg):
    assert signals(rotated(draw(), angle_deg))["skew"] == pytest.approx(abs(angle_deg), abs=0.34)


def test_columns_are_counted_on_a_tilted_page_too():
    assert signals(rotated(draw(columns=3), 4))["columns"] == signals(draw(columns=3))["columns"] == 3


def test_crossings_of_a_table_are_counted():
    assert signals(table(4))["ruling_crossings"] == 5 * 3


def test_letters_keep_their_measured_height_whatever_the_resolution():
    small, large = draw(), cv2.resize(draw(), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert signals(large)["tiled_glyph_height"] == pytest.approx(signals(small)["tiled_glyph_height"], rel=0.3)


def test_text_under_heavy_noise_is_not_taken_for_a_blank_page():
    found = signals(grained(draw(scale=1.2), 45))
    assert found["blank"] == 0.0
    assert found["line_density"] > 10


def test_a_white_page_is_blank_and_claims_nothing_about_letters():
    found = signals(np.full((1400, 1000, 3), 255, np.uint8))
    assert found["blank"] == 1.0
    assert not {"blur", "contrast", "skew", "tiled_glyph_height"} & found.keys()


@pytest.mark.parametrize("size", [(1, 1), (2, 5000), (5000, 2), (30, 30), (449, 7)])
def test_pages_of_any_shape_are_measured(size):
    rgb = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    assert signals(rgb).keys() <= FEATURES.keys()


def test_pure_noise_is_measured():
    rgb = np.random.default_rng(0).integers(0, 255, (1500, 1100, 3), np.uint8)
    assert all(np.isfinite(value) for value in signals(rgb).values())


@pytest.mark.parametrize(
    ("width", "height", "grid"),
    [
        (448, 448, (1, 1)),
        (1000, 1000, (3, 3)),  # ties of 1x1, 2x2, 3x3 go up while the picture covers over half of the larger grid
        (600, 600, (1, 1)),
        (800, 800, (2, 2)),
        (1654, 2339, (2, 3)),  # A4 at 200 dpi
        (2339, 1654, (4, 3)),
        (400, 4000, (1, 10)),
        (100, 9000, (1, 12)),
        (896, 448, (2, 1)),
        (2000, 1000, (4, 2)),
    ],
)
def test_tiling_follows_the_fast_models_rule(width, height, grid):
    assert tile_grid(width, height) == grid
    assert grid[0] * grid[1] <= MAX_TILES


def test_tiling_shrinks_letters_of_a_large_page_and_adds_no_detail_to_a_small_one():
    assert tiled_height_px(20, 1654, 2339) == pytest.approx(20 * 3 * 448 / 2339)
    assert tiled_height_px(20, 300, 300) == 20


def words(lines=10, text="word"):
    return tuple(
        Word(text=text, polygon=(x, y, x + 0.08, y, x + 0.08, y + 0.012, x, y + 0.012))
        for y in np.linspace(0.05, 0.9, lines).tolist()
        for x in (0.1, 0.19, 0.7)
    )


def test_a_text_layer_is_measured_without_the_picture():
    page = Page(number=1, width_px=1654, height_px=2339, words=words(lines=30))
    assert not needs_picture(page)
    found = page_features(None, page)
    assert (found["line_density"], found["columns"], found["text_layer"]) == (30, 2, 1.0)
    assert found["tiled_glyph_height"] == pytest.approx(0.6 * 0.012 * 3 * 448)


@pytest.mark.parametrize("layer", [(), words(lines=1), words(text="\ufffd\ufffdx"), words(text="(cid:31)")])
def test_a_page_without_usable_text_layer_needs_its_picture(layer):
    page = Page(number=1, width_px=1000, height_px=1400, words=layer)
    assert needs_picture(page)
    with pytest.raises(ValueError, match="picture is needed"):
        page_features(None, page)


def test_a_page_known_as_blank_needs_no_picture():
    page = Page(number=3, width_px=1000, height_px=1400, blank=True)
    assert not needs_picture(page)
    assert page_features(None, page)["blank"] == 1.0


def test_boxes_in_no_order_give_lines_and_columns():
    boxes = np.array([[500, 10, 50, 10], [10, 40, 50, 10], [10, 11, 50, 10], [62, 9, 50, 10]], float)
    assert lines_and_columns(boxes) == (2, pytest.approx(1.75))


def test_pages_of_a_document_are_counted():
    pages = tuple(Page(number=n, width_px=10, height_px=10) for n in range(1, 8))
    document = Document(id="0" * 64, uri="x", media_type="application/pdf", size_bytes=1, pages=pages)
    assert document_features(document) == {"page_count": 7.0}
