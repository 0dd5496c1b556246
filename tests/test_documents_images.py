"""Pictures of every type and pixel mode become the same clean RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import encode, make_good_inputs, picture
from PIL import Image

from router.confined.rows import rgb_rows
from router.documents import Limits, media_type, open_document, read_file, sniff
from router.documents.pixels import upright
from router.errors import UnsupportedTypeError
from router.types import Rgb

COLOURLESS = ("gray", "deep", "float", "wide")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_good_inputs(tmp_path_factory.mktemp("good"))


def to_rgb(image: Image.Image) -> Rgb:
    rows = b"".join(rgb_rows(image, image.size))
    return np.frombuffer(rows, np.uint8).reshape(image.height, image.width, 3)


def names() -> list[str]:
    return [
        *("rgb.png", "rgba.png", "gray.png", "gray_alpha.png", "deep.png", "one_bit.png", "palette.png"),
        *("palette_clear.png", "turned.png"),
        *("rgb.jpg", "gray.jpg", "cmyk.jpg", "turned.jpg", "rgb.webp", "moving.webp"),
        *("rgb.tiff", "cmyk.tiff", "deep.tiff", "float.tiff", "wide.tiff", "fax.tiff", "ycbcr.tiff", "turned.tiff"),
    ]


@pytest.mark.parametrize("name", names())
def test_every_mode_becomes_the_same_rgb(good: dict[str, Path], name: str) -> None:
    with read_file(good[name]) as opened:
        rgb = opened.image(1)
        page = opened.document.pages[0]
    assert rgb.dtype == np.uint8
    assert rgb.shape == (page.height_px, page.width_px, 3) == (320, 240, 3)
    assert not page.blank
    wanted = picture()
    if name.startswith(("one_bit", "fax")):
        wanted = wanted.convert("1", dither=Image.Dither.NONE)
    elif name.startswith(COLOURLESS):
        wanted = wanted.convert("L")
    expected = np.asarray(wanted.convert("RGB")).astype(int)
    far = np.abs(rgb.astype(int) - expected).max(axis=2) > 12
    assert far.mean() < 0.02  # JPEG rings at the edge of the red square


def test_the_corpus_of_good_inputs_is_tested_whole(good: dict[str, Path]) -> None:
    assert {name for name in good if not name.endswith(".pdf")} == set(names())


@pytest.mark.parametrize("value", range(1, 9))
def test_each_exif_orientation_is_undone(value: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = picture().transpose(turns[value]) if value in turns else picture()
    assert np.array_equal(upright(np.asarray(stored), value), np.asarray(picture()))


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (4, 1))
    assert np.abs(to_rgb(Image.fromarray(ramp))[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    twelve_bit = (ramp >> 4).astype(np.uint16)
    assert to_rgb(Image.fromarray(twelve_bit)).max() == 255


def test_floats_that_are_no_numbers_are_black() -> None:
    values = np.array([[np.nan, 1.0], [np.inf, 0.5]], np.float32)
    assert to_rgb(Image.fromarray(values))[:, :, 0].tolist() == [[0, 255], [0, 128]]


def test_a_tiff_gives_its_pages_one_by_one_without_thumbnails() -> None:
    shades = [Image.new("L", (40 + number, 30), 40 * number) for number in range(5)]
    data = encode(shades[0], "TIFF", save_all=True, append_images=shades[1:])
    with open_document(data, "x", Limits(max_cached_pages=2)) as opened:
        assert [page.width_px for page in opened.document.pages] == [40, 41, 42, 43, 44]
        assert [int(opened.image(number)[0, 0, 0]) for number in (5, 1, 3, 2, 4, 1)] == [160, 0, 80, 40, 120, 0]


def test_a_thumbnail_in_a_tiff_is_no_page() -> None:
    both = encode(picture(), "TIFF", save_all=True, append_images=[Image.new("RGB", (8, 8))], tiffinfo={254: 1})
    subfile_type = b"\xfe\0\4\0\1\0\0\0"
    first_is_full = both.replace(subfile_type + b"\1", subfile_type + b"\0", 1)
    with open_document(first_is_full, "x") as opened:
        assert [page.width_px for page in opened.document.pages] == [240]


def test_a_fax_with_oblong_dots_is_stretched_to_square_ones() -> None:
    squashed = picture(1000, 1200).resize((1000, 600))
    with open_document(encode(squashed, "TIFF", dpi=(204, 102)), "x") as opened:
        assert opened.image(1).shape == (1200, 1000, 3)
        assert opened.document.pages[0].dpi == 204.0


def test_a_heic_picture_is_read() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(picture()).save(buffer, quality=90)
    with open_document(buffer.getvalue(), "x") as opened:
        assert opened.document.media_type == sniff.HEIC
        far = np.abs(opened.image(1).astype(int) - np.asarray(picture()).astype(int)).max(axis=2) > 60
        assert far.mean() < 0.05


@pytest.mark.parametrize(
    ("dpi", "expected"), [((200, 200), 200.0), ((1, 1), None), ((204, 1), None), ((100_000, 100_000), None)]
)
def test_only_a_believable_resolution_is_told(dpi: tuple[int, int], expected: float | None) -> None:
    with open_document(encode(picture(), "TIFF", dpi=dpi), "x") as opened:
        assert opened.document.pages[0].dpi == expected


def test_damaged_metadata_does_not_lose_the_picture() -> None:
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 60_000
    data = encode(picture(), "JPEG", exif=exif, icc_profile=b"no profile at all" * 1000)
    with open_document(data, "x") as opened:
        assert opened.image(1).shape == (320, 240, 3)


def test_the_type_is_told_by_the_bytes() -> None:
    assert media_type(encode(picture(), "PNG")) == sniff.PNG
    assert media_type(encode(picture(), "WEBP")) == sniff.WEBP
    assert media_type(b"MM\0*....") == sniff.TIFF
    assert media_type(b"\r\n" * 100 + b"%PDF-1.4") == sniff.PDF
    with pytest.raises(UnsupportedTypeError, match="plain text"):
        media_type(b"%PD" + b" " * 2000 + b"%PDF-1.4")
    with pytest.raises(UnsupportedTypeError, match="GIF"):
        media_type(b"GIF89a......")


def test_the_same_bytes_have_the_same_id_and_pictures_cannot_be_changed() -> None:
    data = encode(picture(), "PNG")
    with open_document(data, "a.png") as one, open_document(data, "b.png") as two:
        assert one.document.id == two.document.id
        assert one.document.uri != two.document.uri
        with pytest.raises(ValueError, match="read-only"):
            one.image(1)[0, 0] = 0


def test_a_closed_document_gives_no_pictures() -> None:
    opened = open_document(encode(picture(), "PNG"), "x")
    opened.close()
    opened.close()
    with pytest.raises(ValueError, match="closed"):
        opened.image(1)
