"""PDFs drawn from a seed: whole in their outer form, and wrong, circular or far too much inside.

Knows the format; writes it with the standard library alone, so that every byte can be chosen.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

Draw = Callable[[random.Random], bytes]
_NUMBERS = (b"0", b"-1", b"1", b"65536", b"2147483647", b"-2147483648", b"99999999999999999999", b"0.0000001", b"1e9")
_BOXES = (
    b"[0 0 595 842]",
    b"[0 0 0 0]",
    b"[0 0 14400 14400]",
    b"[0 0 1e9 1e9]",
    b"[-5 -5 -1 -1]",
    b"[595 842 0 0]",
    b"[0 0 3]",
    b"[(a) 0 1 1]",
    b"[0 0 99999999999 1]",
)
_FILTERS = (b"FlateDecode", b"LZWDecode", b"ASCII85Decode", b"ASCIIHexDecode", b"RunLengthDecode", b"DCTDecode")
_PICTURE_FILTERS = (b"JPXDecode", b"JBIG2Decode", b"CCITTFaxDecode", b"DCTDecode", b"FlateDecode")
_OPERATORS = (
    b"q Q cm re f S W n BT ET Tf Td Tj TJ Tm Tr Ts Do sh gs cs scn BI ID EI BX EX m l c h B b* Tz TL T* ' \" d0 d1"
).split()


def pdf(rng: random.Random) -> bytes:
    """Return one PDF."""
    draws: tuple[Draw, ...] = (_nested, _bomb, _tree, _content, _picture, _boxes, _fonts, _forms)
    data = rng.choice(draws)(rng)
    return _with_wrong_table(rng, data) if rng.random() < 0.2 else data


def written(objects: list[bytes]) -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is the catalogue."""
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def stream(content: bytes, extra: bytes = b"", filters: bytes = b"/FlateDecode") -> bytes:
    """Return a stream object of packed bytes."""
    return b"<</Length %d/Filter[%s]%s>>\nstream\n%s\nendstream" % (len(content), filters, extra, content)


def page(content: bytes, entries: bytes = b"/MediaBox[0 0 595 842]", *extra: bytes) -> bytes:
    """Return a PDF of one page; `content` is a stream object, objects of `extra` are numbered from 5."""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    leaf = b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s>>" % entries
    pages = b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (5 + len(extra))
    return written([b"<</Type/Catalog/Pages 2 0 R>>", pages, font, content, *extra, leaf])


def _number(rng: random.Random) -> bytes:
    return rng.choice(_NUMBERS) if rng.random() < 0.5 else b"%d" % rng.randint(-1000, 1000)


def _nested(rng: random.Random) -> bytes:
    depth = rng.choice((10, 500, 5000, 50_000))
    opening, closing = rng.choice(((b"[", b"]"), (b"<</A ", b">>"), (b"(", b")"), (b"q ", b"Q ")))
    deep = opening * depth + b"1" + closing * (depth if rng.random() < 0.7 else depth // 2)
    if rng.random() < 0.5:
        return page(stream(zlib.compress(deep)))
    return page(stream(zlib.compress(b"")), b"/MediaBox[0 0 99 99]/Extra " + deep)


def _bomb(rng: random.Random) -> bytes:
    packed = zlib.compress(rng.choice((b" ", b"\0", b"0 0 m ", b"q ")) * rng.choice((10_000, 1_000_000, 20_000_000)), 9)
    filters = b"/FlateDecode"
    for _ in range(rng.randint(0, 3)):
        packed, filters = zlib.compress(packed, 9), filters + b"/FlateDecode"
    contents = b"/Contents[%s]" % (b"5 0 R " * rng.choice((1, 10, 200)))
    return page(stream(zlib.compress(b"")), b"/MediaBox[0 0 99 99]" + contents, stream(packed, filters=filters))


def _tree(rng: random.Random) -> bytes:
    count = rng.randint(2, 30)
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    for _ in range(count):
        kids = b" ".join(b"%d 0 R" % rng.randint(1, count + 1) for _ in range(rng.randint(0, 6)))
        kind = rng.choice((b"Pages", b"Pages", b"Page"))
        parent, pages = rng.randint(1, count + 1), _number(rng)
        objects.append(b"<</Type/%s/Count %s/Parent %d 0 R/Kids[%s]>>" % (kind, pages, parent, kids))
    return written(objects)


def _content(rng: random.Random) -> bytes:
    words: list[bytes] = []
    for _ in range(rng.choice((20, 400, 20_000))):
        words += [_number(rng) for _ in range(rng.randint(0, 6))]
        words.append(rng.choice((b"/F1", b"/Im1", b"(abc)", b"<0041>", b"[(a) -9e9 (b)]", *_OPERATORS)))
    resources = b"/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>/XObject<</Im1 4 0 R>>>>"
    return page(stream(zlib.compress(b" ".join(words))), resources)


def _picture(rng: random.Random) -> bytes:
    sides = (1, 7, 3000, 40_000, 2_000_000_000)
    width, height = rng.choice(sides), rng.choice(sides)
    colours = rng.choice(
        (b"/DeviceRGB", b"/DeviceGray", b"/DeviceCMYK", b"[/Indexed /DeviceRGB 255 <00>]", b"/Pattern")
    )
    extra = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace %s/BitsPerComponent %s" % (
        *(width, height),
        colours,
        rng.choice((b"1", b"8", b"16", b"0", b"-8")),
    )
    extra += rng.choice((b"", b"/SMask 5 0 R", b"/Mask 5 0 R", b"/DecodeParms<</K -1/Columns %d>>" % width))
    junk = rng.randbytes(rng.choice((0, 40, 4000)))
    kind = rng.choice(_PICTURE_FILTERS)
    packed = zlib.compress(junk + b"\0" * 2_000_000, 1) if kind == b"FlateDecode" else junk
    picture = stream(packed, extra, b"/" + kind)
    drawn = stream(zlib.compress(b"q 500 0 0 500 0 0 cm /Im1 Do Q"))
    return page(drawn, b"/MediaBox[0 0 595 842]/Resources<</XObject<</Im1 5 0 R>>>>", picture)


def _boxes(rng: random.Random) -> bytes:
    entries = b"".join(b"/%s %s" % (name, rng.choice(_BOXES)) for name in (b"MediaBox", b"CropBox", b"BleedBox"))
    entries += b"/Rotate %s/UserUnit %s" % (_number(rng), _number(rng))
    return page(stream(zlib.compress(b"0 0 9 9 re f BT /F1 12 Tf 9 9 Td (Total 12.50) Tj ET")), entries)


def _fonts(rng: random.Random) -> bytes:
    kind = rng.choice((b"Type0", b"Type1", b"TrueType", b"Type3", b"CIDFontType2"))
    widths = b" ".join(_number(rng) for _ in range(rng.choice((0, 5, 5000))))
    font = b"<</Type/Font/Subtype/%s/BaseFont/X/FirstChar %s/LastChar %s/Widths[%s]/FontDescriptor 6 0 R%s>>" % (
        *(kind, _number(rng), _number(rng), widths),
        rng.choice(
            (b"", b"/DescendantFonts[5 0 R]", b"/ToUnicode 4 0 R", b"/CharProcs<</a 4 0 R>>/FontMatrix[1 0 0 1 0 0]")
        ),
    )
    descriptor = b"<</Type/FontDescriptor/FontName/X/FontFile2 7 0 R/FontFile3 7 0 R/FontBBox[0 0 %s 9]>>" % _number(
        rng
    )
    file = stream(zlib.compress(rng.choice((b"\0\1\0\0", b"OTTO", b"true", b"%!PS")) + rng.randbytes(900)))
    text = stream(zlib.compress(b"BT /F9 12 Tf 72 700 Td (Total 12.50 abc) Tj <00410042> Tj ET"))
    return page(text, b"/MediaBox[0 0 595 842]/Resources<</Font<</F9 5 0 R>>>>", font, descriptor, file)


def _forms(rng: random.Random) -> bytes:
    """Forms that draw each other, in circles and in powers, and widgets that do so."""
    count = rng.choice((2, 8, 30))
    drawn = b" ".join(b"/X%d Do" % rng.randint(0, count - 1) for _ in range(rng.randint(1, 12)))
    names = b"/Resources<</XObject<<%s>>>>" % b"".join(b"/X%d %d 0 R" % (index, 5 + index) for index in range(count))
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]" + names
    widget = b"/Annots[%s]" % (
        b"<</Subtype/Widget/FT/Tx/V(a)/Rect[0 0 9 9]/AP<</N 5 0 R>>/F 4>> " * rng.choice((0, 1, 2000))
    )
    entries = b"/MediaBox[0 0 99 99]" + names + widget
    return page(stream(zlib.compress(drawn)), entries, *[stream(zlib.compress(drawn), form)] * count)


def _with_wrong_table(rng: random.Random, data: bytes) -> bytes:
    """Return the file with one place wrong in what tells where its objects are."""
    at = data.rfind(b"xref")
    place = rng.randint(max(0, at), len(data) - 1)
    return data[:place] + rng.choice((b"9", b"-", b" ", b"\n", b"0000000000")) + data[place + rng.randint(0, 3) :]
