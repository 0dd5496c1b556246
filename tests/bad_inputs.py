"""A corpus of documents that must be refused with a clear error, and of good ones in every mode; made, never stored."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from benchmarks.fuzz_pdfs import written
from router.errors import (
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    LimitExceededError,
    UnsupportedTypeError,
)

EXPECTED: dict[str, type[DocumentError]] = {
    "empty.pdf": EmptyDocumentError,
    "text_as.jpg": UnsupportedTypeError,
    "zip_as.pdf": UnsupportedTypeError,
    "truncated.jpg": CorruptDocumentError,
    "truncated.png": CorruptDocumentError,
    "truncated.pdf": CorruptDocumentError,
    "garbage.pdf": CorruptDocumentError,
    "encrypted.pdf": EncryptedDocumentError,
    "no_pages.pdf": CorruptDocumentError,
    "pages_10000.pdf": LimitExceededError,
    "pages_600.tiff": LimitExceededError,
    "huge_header.png": LimitExceededError,
    "huge_header.tiff": LimitExceededError,
    "huge_page.pdf": LimitExceededError,
    "bomb.png": LimitExceededError,
    "zero_size.png": CorruptDocumentError,
    "zero_size.pdf": CorruptDocumentError,
    "directory.pdf": DocumentError,
    "unreadable.pdf": DocumentError,
    "pipe.pdf": DocumentError,
    "missing.pdf": DocumentError,
}
"""The error each bad input must give; the keys are the file names that `make_bad_inputs` makes."""


def picture(width: int = 240, height: int = 320) -> Image.Image:
    """Return a white RGB page with some lines of black text and a red mark in the top left corner."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(8):
        draw.text((30, 30 + 30 * line), f"Item {line}   {line * 3}.50 EUR", fill="black")
    draw.rectangle((0, 0, 20, 20), fill=(220, 0, 0))
    return image


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stream(content: bytes, extra: bytes = b"") -> bytes:
    """Return a compressed PDF stream object."""
    packed = zlib.compress(content)
    return b"<</Length %d/Filter/FlateDecode%s>>\nstream\n%s\nendstream" % (len(packed), extra, packed)


def page_pdf(
    content: bytes, page: bytes = b"/MediaBox[0 0 595 842]", pages: int = 1, extra: tuple[bytes, ...] = ()
) -> bytes:
    """Return a PDF whose pages all show `content` with Helvetica as /F1; objects of `extra` are numbered from 5."""
    first = 5 + len(extra)
    kids = b" ".join(b"%d 0 R" % number for number in range(first, first + pages))
    leaf = b"<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F1 3 0 R>>>>%s>>" % page
    return written(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, kids),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            stream(content),
            *extra,
            *[leaf] * pages,
        ]
    )


def text_pdf(lines: list[str], pages: int = 1, password: str | None = None, owner_password: str | None = None) -> bytes:
    """Return an A4 PDF with the lines as text, the first 100 points below the top edge."""
    buffer = io.BytesIO()
    encryption = None if password is None else StandardEncryption(password, owner_password)
    canvas = Canvas(buffer, pagesize=(595, 842), encrypt=encryption)
    for _ in range(pages):
        for index, line in enumerate(lines):
            canvas.drawString(72, 742 - 20 * index, line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def scan_pdf(images: list[Image.Image]) -> bytes:
    """Return a PDF whose pages are pictures without a text layer."""
    return encode(images[0], "PDF", save_all=True, append_images=images[1:], resolution=100)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has next to no data."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 64)),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_header(width: int, height: int, next_ifd: int = 0) -> bytes:
    """Return a one-bit TIFF that claims a size; `next_ifd` 8 makes its page list a circle."""
    strip = b"\0" * 64
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 1),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 0),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, 64),
    ]
    at = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, at if tag == 273 else value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", next_ifd) + strip


def make_bad_inputs(folder: Path) -> dict[str, Path]:
    """Return name to path of inputs that must each be refused; they lie in `folder`, which must exist."""
    jpeg, pdf = encode(picture(), "JPEG"), text_pdf(["Invoice 1"] * 20)
    one_bit = Image.new("1", (8, 8), 1)
    contents = {
        "empty.pdf": b"",
        "text_as.jpg": b"This is a letter and no picture.\n" * 20,
        "zip_as.pdf": b"PK\x03\x04" + b"\0" * 100,
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": encode(picture(), "PNG")[:-400],
        "truncated.pdf": pdf[: len(pdf) // 2],
        "garbage.pdf": b"%PDF-1.7\n" + bytes(range(256)) * 8,
        "encrypted.pdf": text_pdf(["secret"], password="key"),
        "no_pages.pdf": written([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"]),
        "pages_10000.pdf": page_pdf(b"BT /F1 12 Tf 72 700 Td (x) Tj ET", pages=10_000),
        "pages_600.tiff": encode(one_bit, "TIFF", save_all=True, append_images=[one_bit] * 599),
        "huge_header.png": png_header(100_000, 100_000),
        "huge_header.tiff": tiff_header(100_000, 100_000),
        "huge_page.pdf": page_pdf(b"", page=b"/MediaBox[0 0 5000000 5000000]"),
        "bomb.png": encode(Image.new("1", (12_000, 12_000), 0), "PNG"),
        "zero_size.png": png_header(0, 100),
        "zero_size.pdf": page_pdf(b"", page=b"/MediaBox[0 0 0 0]"),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / "directory.pdf").mkdir()
    (folder / "unreadable.pdf").symlink_to(folder / "unreadable.pdf")  # a circle: not readable even for root
    os.mkfifo(folder / "pipe.pdf")
    return {name: folder / name for name in EXPECTED}


def make_good_inputs(folder: Path) -> dict[str, Path]:
    """Return file name to path of files in `folder` that all show `picture()`, in every type and pixel mode."""
    image = picture()
    gray = np.asarray(image.convert("L"))
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    on_clear = image.convert("RGBA")
    on_clear.putalpha(Image.fromarray(np.where(np.asarray(image).min(axis=2) < 250, 255, 0).astype(np.uint8)))
    clear_palette = image.quantize(8)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "rgb.png": encode(image, "PNG"),
        "rgba.png": encode(on_clear, "PNG"),
        "gray.png": encode(image.convert("L"), "PNG"),
        "gray_alpha.png": encode(on_clear.convert("LA"), "PNG"),
        "deep.png": encode(deep, "PNG"),
        "one_bit.png": encode(image.convert("1", dither=Image.Dither.NONE), "PNG"),
        "palette.png": encode(image.quantize(64), "PNG"),
        "palette_clear.png": encode(clear_palette, "PNG", transparency=clear_palette.getpixel((120, 10))),
        "rgb.jpg": encode(image, "JPEG", quality=95),
        "gray.jpg": encode(image.convert("L"), "JPEG", quality=95),
        "cmyk.jpg": encode(image.convert("CMYK"), "JPEG", quality=95),
        "turned.jpg": encode(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif),
        "turned.png": encode(image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif),
        "turned.tiff": encode(image.transpose(Image.Transpose.ROTATE_90), "TIFF", tiffinfo={274: 6}),
        "rgb.tiff": encode(image, "TIFF", compression="tiff_lzw"),
        "cmyk.tiff": encode(image.convert("CMYK"), "TIFF"),
        "deep.tiff": encode(deep, "TIFF"),
        "float.tiff": encode(Image.fromarray(gray.astype(np.float32) / 255), "TIFF"),
        "wide.tiff": encode(Image.fromarray(gray.astype(np.int32) * 257), "TIFF"),
        "fax.tiff": encode(image.convert("1", dither=Image.Dither.NONE), "TIFF", compression="group4"),
        "ycbcr.tiff": encode(image.convert("YCbCr"), "TIFF"),
        "rgb.webp": encode(image, "WEBP", lossless=True),
        "moving.webp": encode(
            image, "WEBP", save_all=True, append_images=[Image.new("RGB", image.size)], lossless=True
        ),
        "scan.pdf": scan_pdf([image]),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in files}
