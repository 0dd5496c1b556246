"""Pictures of every format from one page, and changes that a decoder's first check does not notice.

A changed PNG gets its check sums set right and a changed size stays where it was, so that the decoder goes on.
"""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
_SIDES = (0, 1, 2, 255, 4096, 9999, 32_768, 65_535, 2**31 - 1, 2**32 - 1)


def pictures(page: Image.Image) -> dict[str, bytes]:
    """Return the page as files of all formats and modes; HEIC where its package is there."""
    page = page.convert("RGB")
    gray, exif = page.convert("L"), Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(gray, np.uint16) * 257)
    made = {
        "rgb.png": _file(page, "PNG", dpi=(200, 200)),
        "palette.png": _file(page.quantize(16), "PNG", transparency=0),
        "alpha.png": _file(page.convert("RGBA"), "PNG"),
        "deep.png": _file(deep, "PNG"),
        "moving.png": _file(page, "PNG", **_more(page)),
        "turned.jpg": _file(page, "JPEG", exif=exif, dpi=(200, 200)),
        "progressive.jpg": _file(page, "JPEG", progressive=True),
        "cmyk.jpg": _file(page.convert("CMYK"), "JPEG", progressive=True),
        "several.jpg": _file(page, "MPO", **_more(page)),
        "plain.tiff": _file(page, "TIFF", **_more(page)),
        "float.tiff": _file(Image.fromarray(np.asarray(gray, np.float32)), "TIFF", compression="tiff_lzw"),
        "deep.tiff": _file(deep, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tiff": _file(page, "TIFF", compression="jpeg"),
        "packed.tiff": _file(page.convert("CMYK"), "TIFF", compression="tiff_adobe_deflate", tiffinfo={278: 7}),
        "fax.tiff": _file(gray.convert("1"), "TIFF", compression="group4", dpi=(204, 98)),
        "lossy.webp": _file(page, "WEBP"),
        "lossless.webp": _file(page.convert("RGBA"), "WEBP", lossless=True),
        "moving.webp": _file(page, "WEBP", **_more(page)),
    }
    return made | _heic(page)


def _more(page: Image.Image) -> dict[str, object]:
    """Further pictures, made anew for each file: saving leaves its settings in them."""
    return {"save_all": True, "append_images": [page.rotate(90), page.rotate(180)]}


def _heic(page: Image.Image) -> dict[str, bytes]:
    try:
        import pillow_heif
    except ImportError:
        return {}
    buffer = io.BytesIO()
    pillow_heif.from_pillow(page).save(buffer)
    return {"picture.heic": buffer.getvalue()}


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def with_size(rng: random.Random, data: bytes) -> bytes:
    """Return the file with another size in its header, which its content does not have."""
    width, height = rng.choice(_SIDES), rng.choice(_SIDES)
    if data.startswith(PNG):
        return repaired(data[:16] + struct.pack(">II", width, height) + data[24:])
    if data.startswith(b"\xff\xd8"):
        at = min((place for kind in b"\xc0\xc1\xc2" if (place := data.find(bytes([255, kind]))) > 0), default=-1)
        size = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
        return data[: at + 5] + size + data[at + 9 :] if at > 0 else data
    if data[:4] == b"II*\0":
        return _with_tags(rng, data, width, height)
    if data[8:12] == b"WEBP":
        return data[:24] + struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3] + data[30:]
    return data


def _with_tags(rng: random.Random, data: bytes, width: int, height: int) -> bytes:
    """Return a little-endian TIFF with some of its first page's numbers changed: sizes, strips, depth, samples."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    changed = bytearray(data)
    for index in range(count):
        entry = at + 2 + 12 * index
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in (256, 257, 258, 259, 262, 274, 277, 278, 284, 317) and rng.random() < 0.3:
            value = {256: width, 257: height}.get(tag, rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 16, 32, 60_000, 2**31)))
            struct.pack_into("<I", changed, entry + 8, value)
    return bytes(changed)


def repaired(data: bytes) -> bytes:
    """Return a PNG whose chunks have the check sums that fit them."""
    out, at = bytearray(data[:8]), 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out)


def bomb(rng: random.Random) -> bytes:
    """Return a small PNG or TIFF that unpacks to very much."""
    side = rng.choice((500, 3000, 9000, 25_000))
    if rng.random() < 0.5:
        rows = zlib.compress(b"\0" * (3 * side + 1) * min(side, 3000), 9)
        text = zlib.compress(b"a" * rng.choice((1000, 3_000_000, 90_000_000)), 9)
        head = struct.pack(">IIBBBBB", side, side, rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 4, 6)), 0, 0, 0)
        chunks = [
            (b"IHDR", head),
            (b"zTXt", b"a\0\0" + text),
            (b"iCCP", b"a\0\0" + text),
            (b"IDAT", rows),
            (b"IEND", b""),
        ]
        packed = b"".join(struct.pack(">I", len(body)) + kind + body + b"\0\0\0\0" for kind, body in chunks)
        return repaired(PNG + packed)
    mode = rng.choice(("L", "RGB", "RGBA", "CMYK", "1", "LAB"))
    small = min(side, 3000)
    data = _file(Image.new(mode, (small, small)), "TIFF", compression="tiff_adobe_deflate")
    return _with_tags(rng, data, side, side)
