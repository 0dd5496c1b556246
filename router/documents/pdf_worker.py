"""The process that runs PDFium: reads requests from stdin, writes replies to stdout, and may crash.

It runs as a script with only the standard library, pypdfium2 and the protocol loaded, so that it starts quickly and a
damaged document can harm nothing else. It must not know the rest of the package: it reports characters and pixels, its
caller interprets.
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
from collections.abc import Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as c

from router.confined.protocol import Reply, arm, bound_memory, serve

CHARACTER = struct.Struct("<I7fB")
"""Code point, tight box (left, bottom, right, top) in points, loose bottom and top, angle in radians, flags."""
GENERATED, UNMAPPED, INVISIBLE, HYPHEN = 1, 2, 4, 8
_AFFINE_UNIT = 1_000_000
_MAX_ANNOTATIONS = 1000
_MAX_FORM_DEPTH = 12
_ANNOTATIONS_WITH_TEXT = (c.FPDF_ANNOT_WIDGET, c.FPDF_ANNOT_FREETEXT, c.FPDF_ANNOT_STAMP)


class PageError(Exception):
    """A page cannot be used; the first argument is the reply's error kind."""


def _reply(header: dict[str, Any], payload: Any = b"") -> Reply:
    return header, len(payload), (payload,)


class Reader:
    """One open document. Pages are closed after use, and the document is opened anew for each range to free caches."""

    def __init__(self) -> None:
        self._data = b""
        self._pdf: Any = None

    def open(self, header: dict[str, Any], data: bytes) -> Iterator[Reply]:
        """Yield the page count."""
        bound_memory(header["memory_bytes"])
        self._data = data
        self._reopen()
        yield _reply({"pages": len(self._pdf)})

    def drop(self, _: dict[str, Any], __: bytes) -> Iterator[Reply]:
        """Close the document and yield an empty reply."""
        self._close()
        self._data = b""
        yield _reply({})

    def is_encrypted(self) -> bool:
        """Return whether the document names an encryption; the trailer that does is never compressed."""
        return b"/Encrypt" in self._data

    def _reopen(self) -> None:
        self._close()
        self._pdf = pdfium.PdfDocument(self._data)

    def _close(self) -> None:
        if self._pdf is not None:
            self._pdf.close()
            self._pdf = None

    @contextlib.contextmanager
    def _page(self, number: int) -> Iterator[Any]:
        page = self._pdf[number - 1]
        try:
            if _flatten(page):
                page.close()
                page = self._pdf[number - 1]
            yield page
        finally:
            page.close()

    def inspect(self, header: dict[str, Any], _: bytes) -> Iterator[Reply]:
        """Yield size and characters of each page of a range."""
        self._reopen()
        for number in range(header["first"], header["last"] + 1):
            arm(header["timeout_s"])
            with self._page(number) as page:
                width_pt, height_pt = page.get_size()
                _check_box(page, number)
                characters = _characters(page, header["max_characters"], number)
            yield _reply({"width_pt": width_pt, "height_pt": height_pt, **characters[0]}, characters[1])

    def render(self, header: dict[str, Any], _: bytes) -> Iterator[Reply]:
        """Yield one page as rows without padding: RGB, or grey, and then, if `bare`, the same without its text."""
        width, height, gray = header["width_px"], header["height_px"], header.get("gray", False)
        with self._page(header["page"]) as page:
            yield _reply({}, _pixels(page, width, height, gray))
            if header.get("bare", False):
                _hide_text(page)
                yield _reply({}, _pixels(page, width, height, gray))


def _pixels(page: Any, width: int, height: int, gray: bool) -> memoryview:
    kind, stride = (c.FPDFBitmap_Gray, width) if gray else (c.FPDFBitmap_BGR, width * 3)
    bitmap = pdfium.PdfBitmap.new_native(width, height, kind, rev_byteorder=not gray, stride=stride)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    flags = c.FPDF_ANNOT | c.FPDF_RENDER_LIMITEDIMAGECACHE | (0 if gray else c.FPDF_REVERSE_BYTE_ORDER)
    c.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    return memoryview(bitmap.buffer).cast("B")


def _hide_text(page: Any) -> None:
    """Let every text of an open page draw nothing, also inside of forms; the document itself stays as it is."""
    pending = [(c.FPDFPage_GetObject, page.raw, c.FPDFPage_CountObjects(page), 0)]
    while pending:
        get, holder, count, depth = pending.pop()
        for index in range(count):
            item = get(holder, index)
            kind = c.FPDFPageObj_GetType(item)
            if kind == c.FPDF_PAGEOBJ_TEXT:
                c.FPDFTextObj_SetTextRenderMode(item, c.FPDF_TEXTRENDERMODE_INVISIBLE)
            elif kind == c.FPDF_PAGEOBJ_FORM and depth < _MAX_FORM_DEPTH:
                pending.append((c.FPDFFormObj_GetObject, item, c.FPDFFormObj_CountObjects(item), depth + 1))


def _flatten(page: Any) -> bool:
    """Merge filled form fields and notes into the page's content, so that their text is found; True when it changed."""
    count = min(c.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)
    if not any(_annotation_kind(page, index) in _ANNOTATIONS_WITH_TEXT for index in range(count)):
        return False
    return bool(c.FPDFPage_Flatten(page, c.FLAT_NORMALDISPLAY) == c.FLATTEN_SUCCESS)


def _annotation_kind(page: Any, index: int) -> int:
    annotation = c.FPDFPage_GetAnnot(page, index)
    if not annotation:
        return int(c.FPDF_ANNOT_UNKNOWN)
    try:
        return int(c.FPDFAnnot_GetSubtype(annotation))
    finally:
        c.FPDFPage_CloseAnnot(annotation)


def _check_box(page: Any, number: int) -> None:
    # PDFium shows an empty box as a letter page, which would hide that the page holds nothing
    box = page.get_mediabox(fallback_ok=False)
    if box is not None and not (abs(box[2] - box[0]) > 0 and abs(box[3] - box[1]) > 0):
        raise PageError("corrupt", f"page {number} has zero size; print the PDF to a new file")
    if not all(page.get_size()):
        raise PageError(
            "corrupt", f"page {number} shows nothing: its CropBox lies off the page; print the PDF to a new file"
        )


def _affine(page: Any) -> list[float]:
    """Return a,b,e,c,d,f with x' = a x + b y + e, y' = c x + d y + f from points to page fractions."""

    def device(x: float, y: float) -> tuple[float, float]:
        out_x, out_y = ctypes.c_int(), ctypes.c_int()
        c.FPDF_PageToDevice(page, 0, 0, _AFFINE_UNIT, _AFFINE_UNIT, 0, x, y, out_x, out_y)
        return out_x.value / _AFFINE_UNIT, out_y.value / _AFFINE_UNIT

    span = max(page.get_size())
    (x0, y0), (x1, y1), (x2, y2) = device(0, 0), device(span, 0), device(0, span)
    return [(x1 - x0) / span, (x2 - x0) / span, x0, (y1 - y0) / span, (y2 - y0) / span, y0]


def _characters(page: Any, max_characters: int, number: int) -> tuple[dict[str, Any], bytes]:
    text = page.get_textpage()
    try:
        count = text.count_chars()
        if count > max_characters:
            raise PageError("limit", f"page {number} has {count} characters of text; raise max_words_page")
        records = bytearray(count * CHARACTER.size)
        read = _CharacterReader(text.raw)
        for index in range(count):
            CHARACTER.pack_into(records, index * CHARACTER.size, *read(index))
        return {"affine": _affine(page)}, bytes(records)
    finally:
        text.close()


class _CharacterReader:
    """Reads the record of one character; its buffers are reused, since a page has thousands."""

    def __init__(self, text: Any) -> None:
        self._text = text
        self._box = [ctypes.c_double() for _ in range(4)]
        self._loose = c.FS_RECTF()
        self._visible: dict[int | None, bool] = {}

    def __call__(self, index: int) -> tuple[float, ...]:
        text, (left, right, bottom, top), loose = self._text, self._box, self._loose
        c.FPDFText_GetCharBox(text, index, left, right, bottom, top)
        c.FPDFText_GetLooseCharBox(text, index, loose)
        box = (left.value, bottom.value, right.value, top.value, loose.bottom, loose.top)
        code = c.FPDFText_GetUnicode(text, index)
        return (code, *box, c.FPDFText_GetCharAngle(text, index), self._flags(index, code))

    def _flags(self, index: int, code: int) -> int:
        text = self._text
        flags = GENERATED if c.FPDFText_IsGenerated(text, index) == 1 else 0
        flags |= UNMAPPED if c.FPDFText_HasUnicodeMapError(text, index) == 1 else 0
        flags |= HYPHEN if code < ord(" ") and c.FPDFText_IsHyphen(text, index) == 1 else 0
        return flags | (0 if self._is_visible(index) else INVISIBLE)

    def _is_visible(self, index: int) -> bool:
        handle = c.FPDFText_GetTextObject(self._text, index)
        if not handle:
            return True
        key = ctypes.cast(handle, ctypes.c_void_p).value
        if key not in self._visible:
            self._visible[key] = c.FPDFTextObj_GetTextRenderMode(handle) != c.FPDF_TEXTRENDERMODE_INVISIBLE
        return self._visible[key]


def _failure(exc: Exception, encrypted: bool) -> dict[str, Any]:
    if isinstance(exc, PageError):
        return {"error": exc.args[0], "detail": exc.args[1]}
    # PDFium says "password" of some documents without pages, too
    if encrypted and getattr(exc, "err_code", None) == c.FPDF_ERR_PASSWORD:
        return {"error": "encrypted", "detail": "the PDF needs a password; save it without one"}
    if isinstance(exc, MemoryError):
        return {"error": "limit", "detail": "the PDF needs too much memory; raise worker_memory_bytes"}
    cause = " ".join(str(exc).split())[:120] or type(exc).__name__
    cause = "it has no page that can be read" if "PDFium: Success" in cause else cause
    return {"error": "corrupt", "detail": f"the PDF is damaged ({cause}); send it again or print it to a new file"}


def main() -> None:
    """Serve requests until the caller closes stdin."""
    reader = Reader()
    answers = {"open": reader.open, "drop": reader.drop, "inspect": reader.inspect, "render": reader.render}
    serve(answers, lambda exc: _failure(exc, reader.is_encrypted()))


if __name__ == "__main__":
    main()
