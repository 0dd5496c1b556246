"""Files that lack little are read, and what cannot be read says why in plain words."""

from __future__ import annotations

import pytest
from bad_inputs import encode, page_pdf, picture
from PIL.PngImagePlugin import PngInfo

from router.confined import jpeg_end
from router.documents import open_document
from router.errors import CorruptDocumentError

LONG = "a text of five million letters".ljust(5_000_000)


def texts(zipped: bool, international: bool) -> PngInfo:
    info = PngInfo()
    add = info.add_itxt if international else info.add_text
    add("Comment", LONG, zip=zipped)
    return info


def many_texts() -> PngInfo:
    info = PngInfo()
    for number in range(80):
        info.add_text(f"part {number}", LONG[:900_000])
    return info


@pytest.mark.parametrize(
    "options",
    [
        {"pnginfo": texts(zipped=True, international=False)},
        {"pnginfo": texts(zipped=True, international=True)},
        {"pnginfo": many_texts()},
        {"icc_profile": LONG.encode()},
        {"exif": b"Exif\0\0" + LONG.encode()},
    ],
    ids=["zTXt", "iTXt", "tEXt", "iCCP", "eXIf"],
)
def test_a_png_with_large_metadata_is_read(options: dict[str, object]) -> None:
    with open_document(encode(picture(), "PNG", **options), "x") as opened:
        assert opened.image(1).shape == (320, 240, 3)
        assert opened.document.notes == ()


def test_texts_of_a_usual_size_take_neither_orientation_nor_resolution(tmp_path) -> None:
    info = PngInfo()
    info.add_text("Comment", "short")
    info.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:tiff="t"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>')
    with open_document(encode(picture(), "PNG", pnginfo=info, dpi=(200, 200)), "x") as opened:
        assert opened.image(1).shape == (240, 320, 3)
        assert opened.document.pages[0].dpi == pytest.approx(200, abs=1)


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 95}], ids=["plain", "progressive", "fine"])
def test_a_jpeg_without_its_end_mark_is_read_with_a_note(options: dict[str, object], lost: int) -> None:
    whole = encode(picture(), "JPEG", **options)
    with open_document(whole, "x") as opened, open_document(whole[:-lost], "x") as cut:
        assert (opened.image(1) == cut.image(1)).all()
        assert opened.document.notes == ()
        assert cut.document.notes == (jpeg_end.NOTE,)


@pytest.mark.parametrize("lost", [4, 6, 10, 50])
def test_a_jpeg_that_lacks_more_than_its_end_mark_is_not_read_as_if_it_were_whole(lost: int) -> None:
    for options in ({}, {"progressive": True}, {"quality": 95}):
        with pytest.raises(CorruptDocumentError, match="truncated"):
            open_document(encode(picture(), "JPEG", **options)[:-lost], "x")


def test_a_progressive_jpeg_without_its_last_scans_is_not_read_as_if_it_were_whole() -> None:
    data = encode(picture(), "JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    for first_missing in scans[1:4]:
        before_tables = data.rfind(b"\xff\xc4", 0, first_missing)
        cut = before_tables if before_tables > scans[scans.index(first_missing) - 1] else first_missing
        with pytest.raises(CorruptDocumentError, match="truncated"):
            open_document(data[:cut], "x")


@pytest.mark.parametrize("box", ["1000 1000 1400 1400", "-500 -500 -100 -100", "595 842 900 900"])
def test_a_page_cut_to_what_lies_off_it_is_told_in_plain_words(box: str) -> None:
    data = page_pdf(b"BT /F1 24 Tf 72 700 Td (Total) Tj ET", page=f"/MediaBox[0 0 595 842]/CropBox[{box}]".encode())
    with pytest.raises(CorruptDocumentError, match="page 1 shows nothing: its CropBox lies off the page; print"):
        open_document(data, "x")
