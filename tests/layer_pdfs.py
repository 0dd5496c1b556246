"""PDFs whose text layers say something else than their pages show, and honest ones that look much the same."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from bad_inputs import stream

from benchmarks.fuzz_pdfs import written
from router.documents import open_document
from router.types import Rgb

WIDTH, HEIGHT = 420, 400
"""A small page in points: a picture of it is read in half a second."""
HONEST = (
    (30, 350, 14, "Northwind Traders Ltd"),
    (30, 330, 10, "12 High Street, Springfield"),
    (250, 350, 14, "INVOICE"),
    (250, 320, 11, "Invoice number: INV-1001"),
    (250, 300, 11, "Invoice date: 2024-03-05"),
    (30, 290, 10, "Bill to: Jane Miller"),
    (30, 240, 11, "Description"),
    (250, 240, 11, "Quantity"),
    (330, 240, 11, "Amount"),
    (30, 215, 11, "Garden hose"),
    (250, 215, 11, "1"),
    (330, 215, 11, "10.00"),
    (250, 170, 11, "Subtotal: 10.00"),
    (250, 150, 11, "Tax: 1.00"),
    (250, 130, 11, "Total: 11.00"),
)
"""Left, baseline and size in points, and text."""
LIES = ((30, 375, 11, "Invoice number: INV-6666"), (30, 100, 11, "Total: 99999.00"), (30, 80, 11, "Total due 99999.00"))
Line = tuple[float, float, float, str]


def shown(lines: tuple[Line, ...] = HONEST, font: str = "F1") -> str:
    """Return operators that print lines."""
    return "\n".join(f"BT /{font} {size} Tf {x} {y} Td ({text}) Tj ET" for x, y, size, text in lines)


def lying(replaced: dict[str, str]) -> tuple[Line, ...]:
    """Return the honest lines with parts of their texts replaced."""
    lines = []
    for x, y, size, text in HONEST:
        for old, new in replaced.items():
            text = text.replace(old, new)
        lines.append((x, y, size, text))
    return tuple(lines)


SWAPPED = lying({"INV-1001": "INV-6666", "Total: 11.00": "Total: 99.99"})


def layer_pdf(*contents: str, liar: dict[str, str] | None = None, picture: Rgb | None = None, box: str = "") -> bytes:
    """Return a PDF with a page for each content.

    Its operators may use the fonts F1 (Helvetica) and F2 (Helvetica whose letters are said to be those that `liar`
    maps them to), the graphics state G0 (transparent), the switched-off layer OC1, and the picture I1.
    """
    first = 9
    pages = " ".join(f"{first + 2 * number} 0 R" for number in range(len(contents)))
    catalogue = "<</Type/Catalog/Pages 2 0 R/OCProperties<</OCGs[7 0 R]/D<</OFF[7 0 R]>>>>>>"
    helvetica = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding"
    objects = [
        catalogue.encode(),
        f"<</Type/Pages/Count {len(contents)}/Kids[{pages}]>>".encode(),
        f"{helvetica}>>".encode(),
        f"{helvetica}/ToUnicode 5 0 R>>".encode(),
        stream(_unicode_map(liar or {})),
        b"<</Type/ExtGState/ca 0/CA 0>>",
        b"<</Type/OCG/Name(off)>>",
        _picture(np.full((1, 1, 3), 255, np.uint8) if picture is None else picture),
    ]
    resources = (
        "/Resources<</Font<</F1 3 0 R/F2 4 0 R>>/ExtGState<</G0 6 0 R>>/Properties<</OC1 7 0 R>>/XObject<</I1 8 0 R>>>>"
    )
    for number, content in enumerate(contents):
        leaf = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {WIDTH} {HEIGHT}]{box}{resources}"
        objects += [f"{leaf}/Contents {first + 2 * number + 1} 0 R>>".encode(), stream(content.encode("latin-1"))]
    return written(objects)


def page_picture(content: str) -> Rgb:
    """Return a picture of what the operators print."""
    with open_document(layer_pdf(content), "x", text_layer="ignore") as opened:
        return opened.image(1)


def drawn_picture(left: float = 0, bottom: float = 0, width: float = WIDTH, height: float = HEIGHT) -> str:
    """Return operators that draw the picture I1."""
    return f"q {width} 0 0 {height} {left} {bottom} cm /I1 Do Q"


def _unicode_map(liar: dict[str, str]) -> bytes:
    pairs = [f"<{ord(code):02x}> <{text.encode('utf-16-be').hex()}>" for code, text in liar.items()]
    plain = [f"<{code:02x}> <{code:04x}>" for code in range(32, 127) if chr(code) not in liar]
    blocks = [pairs[i : i + 90] for i in range(0, len(pairs), 90)] + [plain]
    mapped = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks if block)
    head = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Liar def /CMapType 2 def\n"
    return f"{head}1 begincodespacerange <00> <ff> endcodespacerange\n{mapped}endcmap end end".encode()


def _picture(rgb: Rgb) -> bytes:
    height, width = rgb.shape[:2]
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    packed = zlib.compress(gray.tobytes())
    head = f"<</Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceGray/BitsPerComponent 8"
    return f"{head}/Filter/FlateDecode/Length {len(packed)}>>\nstream\n".encode() + packed + b"\nendstream"
