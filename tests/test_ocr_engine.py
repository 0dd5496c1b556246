"""The OCR engine on drawn pages, with the real models: text, places, turns, skew, and what a thorough reading adds."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from bad_inputs import encode
from PIL import Image, ImageDraw, ImageFont

from backends.ocr import detector, engine, models, orientation, reading
from backends.ocr.enhance import enhance_line
from backends.ocr.recogniser import read_line
from router.documents import open_document
from router.errors import BackendUnavailableError

ROWS = (
    ("Harbour Hardware", None),
    ("Invoice number", "INV-20417"),
    ("Invoice date", "14 March 2024"),
    ("Subtotal", "118.20"),
    ("Tax 10%", "11.82"),
    ("Total amount", "130.02"),
)
WIDTH, HEIGHT = 640, 440
FONT_PX = 24


def place(row: int, column: int) -> tuple[int, int]:
    return (60 + 340 * column, 40 + 60 * row)


def drawn() -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for row, texts in enumerate(ROWS):
        for column, text in enumerate(texts):
            if text:
                draw.text(place(row, column), text, fill="black", font=ImageFont.load_default(FONT_PX))
    return image


def box_of(text: str) -> np.ndarray:
    """Corners (4, 2) of a drawn text in page fractions."""
    row, column = next((r, c) for r, texts in enumerate(ROWS) for c, t in enumerate(texts) if t == text)
    x, y = place(row, column)
    left, top, right, bottom = ImageFont.load_default(FONT_PX).getbbox(text)
    corners = [(x + left, y + top), (x + right, y + top), (x + right, y + bottom), (x + left, y + bottom)]
    return np.array(corners) / (WIDTH, HEIGHT)


def texts_of(page: engine.PageReading, recogniser: int = 0) -> list[list[str]]:
    return [[s.text for s in row] for row in page.layout(recogniser).rows]


WANTED = [[t for t in row if t] for row in ROWS]


@pytest.fixture(scope="module")
def upright() -> engine.PageReading:
    return engine.read_page(np.asarray(drawn()), 1)


@pytest.fixture(scope="module")
def thorough(upright: engine.PageReading) -> engine.PageReading:
    return engine.read_again(np.asarray(drawn()), upright)


@pytest.fixture(scope="module", params=[1, 2, 3], ids=["left", "upside-down", "right"])
def turned(request: pytest.FixtureRequest) -> tuple[int, engine.PageReading]:
    page = np.ascontiguousarray(np.rot90(np.asarray(drawn()), request.param))
    return request.param, engine.read_page(page, 1)


def test_a_drawn_page_is_read_word_for_word_in_rows(upright: engine.PageReading) -> None:
    assert texts_of(upright) == WANTED
    assert (upright.number, upright.turned) == (1, 0)
    assert upright.height == pytest.approx(HEIGHT / WIDTH)


def test_every_character_has_a_probability_and_a_place(upright: engine.PageReading) -> None:
    for line in upright.lines:
        read = line.readings[0]
        assert len(read.text) == len(read.probabilities) == len(read.positions) == len(read.runners_up)
        assert len(read.runner_up_probabilities) == len(read.text)
        assert all(0 <= p <= 1 for p in (*read.probabilities, *read.positions, *read.runner_up_probabilities))
        assert list(read.positions) == sorted(read.positions)
        assert all(second <= p for second, p in zip(read.runner_up_probabilities, read.probabilities, strict=True))
        assert read.confidence > 0.9


def test_polygons_lie_on_the_drawn_text(upright: engine.PageReading) -> None:
    for segment in (s for row in upright.layout().rows for s in row):
        assert_covers(segment.polygon, box_of(segment.text))


def test_a_span_s_polygon_covers_its_characters_and_not_the_others(upright: engine.PageReading) -> None:
    segment = next(s for row in upright.layout().rows for s in row if s.text == "INV-20417")
    start = ImageFont.load_default(FONT_PX).getlength("INV-") / WIDTH + place(1, 1)[0] / WIDTH
    xs = segment.span_polygon(4, 9)[0::2]
    letter = FONT_PX / 2 / WIDTH
    assert abs(min(xs) - start) < letter
    assert abs(max(xs) - box_of("INV-20417")[:, 0].max()) < letter
    assert segment.span_box(4, 9)[0] == pytest.approx(min(xs), abs=letter)


def assert_covers(polygon: tuple[float, ...], box: np.ndarray) -> None:
    """The polygon holds the box's middle, most of its area, and little more than it needs."""
    assert all(0 <= v <= 1 for v in polygon)
    got = np.array(polygon, np.float32).reshape(4, 2)
    area, common = cv2.intersectConvexConvex(got, box.astype(np.float32))[0], 0.0
    common = area / cv2.contourArea(box.astype(np.float32))
    assert common > 0.85
    assert cv2.contourArea(got) < 3 * cv2.contourArea(box.astype(np.float32))


def turn(points: np.ndarray, quarters: int) -> np.ndarray:
    """Where points go when `np.rot90` turns the page anticlockwise."""
    for _ in range(quarters):
        points = np.stack([points[:, 1], 1 - points[:, 0]], axis=1)
    return points


def test_a_turned_page_is_read_like_the_upright_one(turned: tuple[int, engine.PageReading]) -> None:
    quarters, page = turned
    assert page.turned == quarters
    assert texts_of(page) == WANTED


def test_a_turned_page_is_read_again_the_right_way_up(turned: tuple[int, engine.PageReading]) -> None:
    quarters, page = turned
    sent = np.ascontiguousarray(np.rot90(np.asarray(drawn()), quarters))
    total = next(line for line in page.lines if line.readings[0].text == "130.02")
    again = engine.read_again(sent, engine.PageReading(1, page.height, page.turned, (total,)))
    assert [r.text for r in again.lines[0].readings] == ["130.02"] * reading.READINGS


def test_polygons_lie_on_the_text_of_the_page_as_it_was_sent(turned: tuple[int, engine.PageReading]) -> None:
    quarters, page = turned
    for segment in (s for row in page.layout().rows for s in row):
        box = turn(box_of(segment.text), quarters)
        assert_covers(segment.polygon, box)
        first = np.array(segment.polygon[:2]) - box[0]  # the text's own top left, not the page's
        assert np.abs(first).max() < 0.05


@pytest.mark.parametrize("degrees", [-5, 4])
def test_rows_of_a_skewed_page_are_told_apart(degrees: int) -> None:
    page = drawn().rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    read = engine.read_page(np.asarray(page), 1)
    assert [[t.replace(" ", "") for t in row] for row in texts_of(read)] == [
        [t.replace(" ", "") for t in r] for r in WANTED
    ]


def test_an_empty_and_a_tiny_page_have_no_lines() -> None:
    assert engine.read_page(np.full((300, 200, 3), 255, np.uint8), 1).lines == ()
    assert engine.read_page(np.full((2, 3, 3), 255, np.uint8), 1).lines == ()


def test_a_strip_much_wider_than_high_is_read() -> None:
    strip = np.asarray(drawn())[35:75]
    wide = np.full((40, 900, 3), 255, np.uint8)
    wide[:, :WIDTH] = strip
    read = engine.read_page(wide, 1)
    assert [line.readings[0].text for line in read.lines] == ["Harbour Hardware"]
    ys = read.lines[0].polygon[1::2]
    assert min(ys) < 0.4
    assert max(ys) > 0.6


def test_the_orientation_check_stops_when_the_majority_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    page = np.asarray(drawn())
    quads = detector.detect_lines(page, engine.MAX_MEGAPIXELS, engine.MIN_SIDE_PX)
    asked = []
    real = orientation.crop_line
    monkeypatch.setattr(orientation, "crop_line", lambda rgb, quad: asked.append(1) or real(rgb, quad))
    assert not orientation.is_upside_down(page, quads)
    assert len(asked) == 5
    assert not orientation.is_upside_down(page, [])
    assert not orientation.is_upended([])


def test_a_thorough_reading_keeps_the_first_and_adds_two_aligned_ones(
    upright: engine.PageReading, thorough: engine.PageReading
) -> None:
    assert len(thorough.lines) == len(upright.lines)
    for before, after in zip(upright.lines, thorough.lines, strict=True):
        assert after.readings[0] == before.readings[0]
        assert len(after.readings) == reading.READINGS
        assert (after.box, after.polygon) == (before.box, before.polygon)
    blanks_off = [[t.replace(" ", "") for t in row] for row in texts_of(thorough, 1)]
    assert blanks_off == [[t.replace(" ", "") for t in row] for row in WANTED]


def test_a_line_in_doubt_is_read_again_on_a_repaired_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    faint = 255 - (255 - np.asarray(drawn()).astype(np.float32)) * 0.10
    noisy = np.clip(faint + np.random.default_rng(0).normal(0, 14, faint.shape), 0, 255).astype(np.uint8)
    once = engine.read_page(noisy, 1)
    doubtful = sum(engine.is_doubtful(line.readings[0]) for line in once.lines)
    repaired = []
    monkeypatch.setattr(engine, "enhance_line", lambda crop: repaired.append(1) or enhance_line(crop))
    again = engine.read_again(noisy, once)
    assert 0 < len(repaired) == doubtful
    for line in again.lines:
        assert line.readings[2] == line.readings[0] or engine.is_doubtful(line.readings[0])


def test_enhancing_spreads_the_contrast_and_keeps_the_shape() -> None:
    crop = np.full((20, 100, 3), 140, np.uint8)
    crop[8:12, 10:90] = 110
    better = enhance_line(crop)
    assert better.shape == (64, 320, 3)
    assert better.min() < 40
    assert better.max() > 215
    assert enhance_line(np.full((1, 1, 3), 7, np.uint8)).shape == (64, 64, 3)


def test_what_the_fast_lane_read_is_not_detected_again_by_the_deep_one(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"detect": 0, "first": 0, "second": 0}

    def counted(name: str, real: object) -> object:
        def call(*args: object) -> object:
            calls[name] += 1
            return real(*args)  # type: ignore[operator]

        return call

    monkeypatch.setattr(reading, "read_page", counted("first", engine.read_page))
    monkeypatch.setattr(reading, "read_again", counted("second", engine.read_again))
    monkeypatch.setattr(engine, "detect_lines", counted("detect", detector.detect_lines))
    reader = reading.OcrReader()
    with open_document(encode(drawn(), "PNG"), "page.png") as opened:
        fast = reader.read(opened.document, opened, thorough=False)
        deep = reader.read(opened.document, opened, thorough=True)
        again = reader.read(opened.document, opened, thorough=True)
    assert calls == {"detect": 1, "first": 1, "second": 1}
    assert len(fast) == 1
    assert len(deep) == reading.READINGS
    assert deep[0] == fast[0]
    assert again == deep


def test_the_alphabet_is_latin_only_and_ends_with_the_space() -> None:
    for model in (models.first_recogniser(), models.second_recogniser()):
        assert model.alphabet[-1] == " "
        assert len(set(model.alphabet)) == len(model.alphabet)
        assert set("ABCXYZabcxyz0189.,:/-%&") <= set(model.alphabet)
        assert all(ord(c) < 0x180 or c in "–—‘’“”„•…€₹£¥№™" for c in model.alphabet)


@pytest.mark.parametrize(
    ("package", "file", "cut"),
    [
        ("rapidocr", "PP-OCRv6_rec_small.onnx", models.first_recogniser),
        ("rapidocr_onnxruntime", "ch_PP-OCRv4_rec_infer.onnx", models.second_recogniser),
    ],
)
def test_cutting_the_output_layer_leaves_a_latin_line_s_text_as_it_was(package, file, cut) -> None:
    path = models.model_path(package, file)
    session = models._open(path.read_bytes())
    characters = session.get_modelmeta().custom_metadata_map["character"].split("\n")
    whole = models.RecognitionModel("whole", session, (*characters, " "))
    line = np.asarray(drawn())[95:135, 40:600]
    uncut, shortened = read_line(whole, line), read_line(cut(), line)
    assert shortened.text == uncut.text
    assert "INV-20417" in shortened.text
    assert (
        min(np.array(shortened.probabilities) - np.array(uncut.probabilities)) > -1e-4
    )  # fewer classes share the mass
    assert len(cut().alphabet) < 500 < len(whole.alphabet)


def test_a_missing_second_recogniser_tells_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"pip install --no-deps .*rapidocr-onnxruntime==1\.4\.4"):
        models.model_path("rapidocr_onnxruntime", "ch_PP-OCRv4_rec_infer.onnx")
    with pytest.raises(BackendUnavailableError, match="pip install rapidocr"):
        models.model_path("rapidocr", "PP-OCRv6_rec_small.onnx")


def test_a_wheel_without_the_model_file_names_the_file() -> None:
    with pytest.raises(BackendUnavailableError, match=r"gone\.onnx is missing from the package rapidocr: reinstall"):
        models.model_path("rapidocr", "gone.onnx")


def test_line_boxes_of_a_slanted_page_are_level() -> None:
    angle = math.radians(4)
    along, down = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    quads = [
        np.array([o, o + 300 * along, o + 300 * along + 20 * down, o + 20 * down], np.float32)
        for o in (np.array([50.0, 50 + 60 * k]) for k in range(4))
    ]
    for x0, y0, x1, y1 in engine.straighten(quads, 500, 400):
        assert (x1 - x0) * 500 == pytest.approx(300, abs=2)
        assert (y1 - y0) * 500 == pytest.approx(20, abs=1)
    assert engine.straighten([], 500, 400) == []
