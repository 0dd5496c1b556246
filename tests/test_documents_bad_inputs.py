"""Every bad input gives one clear error, and nothing else escapes the reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import EXPECTED, encode, make_bad_inputs, page_pdf, picture, stream, text_pdf, tiff_header

from benchmarks.fuzz_pdfs import written
from router.documents import Limits, open_document, read_file
from router.errors import CorruptDocumentError, DocumentError, LimitExceededError, UnsupportedTypeError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_bad_inputs(tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bad_input_gives_its_error_in_one_line(corpus: dict[str, Path], name: str) -> None:
    with pytest.raises(EXPECTED[name]) as raised:
        read_file(corpus[name])
    message = str(raised.value)
    assert "\n" not in message
    assert 10 < len(message) < 300
    assert ";" in message, "says what to do"


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.pdf"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse terabyte: reading it would not end
    with pytest.raises(LimitExceededError, match="1000000000000 bytes"):
        read_file(path)


def test_the_next_document_is_read_after_a_bad_one(corpus: dict[str, Path]) -> None:
    for name in ("garbage.pdf", "encrypted.pdf", "zero_size.pdf"):
        with pytest.raises(DocumentError):
            read_file(corpus[name])
        with open_document(text_pdf(["hello"]), "good.pdf") as opened:
            assert [word.text for word in opened.document.pages[0].words] == ["hello"]


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_truncated_image_is_corrupt(kind: str, cut: float) -> None:
    data = encode(picture(), kind)
    with pytest.raises(CorruptDocumentError):
        open_document(data[: int(len(data) * cut)], "x")


def test_a_truncated_pdf_whose_pages_come_first_is_not_silently_shortened() -> None:
    data = page_pdf(b"BT /F1 12 Tf 72 700 Td (total 12.50) Tj ET")
    with pytest.raises(CorruptDocumentError, match="truncated"):
        open_document(data[: data.index(b"xref\n0")], "x")


def test_a_page_list_that_runs_in_a_circle_ends() -> None:
    with open_document(tiff_header(16, 16, next_ifd=8), "x") as opened:
        assert len(opened.document.pages) == 1


def test_a_pdf_page_tree_that_runs_in_a_circle_is_refused_or_ends() -> None:
    tree = written([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Parent 2 0 R/Count 3/Kids[2 0 R 2 0 R 2 0 R]>>"])
    with pytest.raises(DocumentError):
        open_document(tree, "x")


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    scans = encode(picture(), "JPEG", progressive=True)
    with pytest.raises(LimitExceededError, match="scans"):
        open_document(scans + b"\xff\xda" * 200, "x")


def test_a_content_stream_that_unpacks_to_a_gigabyte_does_not_reach_the_caller() -> None:
    contents = b"/MediaBox[0 0 595 842]/Contents[%s]" % (b"5 0 R " * 100)
    bomb = page_pdf(b"", page=contents, extra=(stream(b" " * 10_000_000),))
    limits = Limits(worker_memory_bytes=300_000_000, page_timeout_s=5)
    with pytest.raises(DocumentError, match="page 1"):
        open_document(bomb, "x", limits)


def test_a_picture_bomb_in_a_pdf_is_drawn_within_the_memory_limit() -> None:
    side = 12_000
    extra = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8" % (side, side)
    bomb = page_pdf(
        b"q 500 0 0 500 0 0 cm /Im1 Do Q",
        page=b"/MediaBox[0 0 595 842]/Resources<</XObject<</Im1 5 0 R>>>>",
        extra=(stream(b"\0" * 3_000_000, extra),),
    )
    limits = Limits(worker_memory_bytes=300_000_000, page_timeout_s=10)
    with open_document(bomb, "x", limits) as opened:
        assert opened.image(1).shape == (2338, 1652, 3)


def test_too_many_words_or_pixels_are_refused() -> None:
    data = text_pdf(["one two three"] * 10, pages=2)
    with pytest.raises(LimitExceededError, match="words"):
        open_document(data, "x", Limits(max_words_page=20))
    with pytest.raises(LimitExceededError, match="max_words_total"):
        open_document(data, "x", Limits(max_words_total=40))
    with pytest.raises(LimitExceededError, match="max_total_pixels"):
        open_document(data, "x", Limits(max_total_pixels=5_000_000))
    with pytest.raises(LimitExceededError, match="pixels"):
        open_document(encode(picture(), "PNG"), "x", Limits(max_page_pixels=1000))


def test_heic_without_its_package_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(UnsupportedTypeError, match=r"docroute\[heic\]"):
        open_document(b"\0\0\0\x18ftypheic" + b"\0" * 64, "x")


def test_opening_a_page_number_outside_the_document_is_an_index_error() -> None:
    with open_document(encode(picture(), "PNG"), "x") as opened, pytest.raises(IndexError):
        opened.image(2)
