"""Document type by magic bytes. Must not know file names: a name proves nothing."""

from __future__ import annotations

from router.errors import EmptyDocumentError, UnsupportedTypeError

PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
WEBP = "image/webp"
HEIC = "image/heic"
PDF = "application/pdf"

_PREFIXES = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_PDF_HEADER_WITHIN_BYTES = 1024


def media_type(data: bytes) -> str:
    """Return the media type that the first bytes show.

    Raises `EmptyDocumentError` for no bytes and `UnsupportedTypeError` for any type that cannot be read here.
    """
    if not data:
        raise EmptyDocumentError("the file is empty; send it again")
    for prefix, name in _PREFIXES:
        if data.startswith(prefix):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return HEIC
    if b"%PDF-" in data[:_PDF_HEADER_WITHIN_BYTES]:
        return PDF
    raise UnsupportedTypeError(
        f"{_looks_like(data)}, not a PDF, PNG, JPEG, TIFF, WEBP or HEIC; convert it to one of these"
    )


def _looks_like(data: bytes) -> str:
    head = data[:512]
    if head[:2] == b"PK":
        return "the content is a ZIP archive or an office document"
    if head[:3] == b"GIF":
        return "the content is a GIF picture"
    if not head.strip(b"\x00"):
        return "the content is only zero bytes"
    letters = head.decode("utf-8", errors="ignore")
    if len(letters.encode()) > 0.95 * len(head) and all(letter.isprintable() or letter.isspace() for letter in letters):
        return "the content is plain text"
    return "the content is of an unknown type"


def is_picture(media_type: str) -> bool:
    """Return whether a file of this type is one picture and so one page."""
    return media_type in {PNG, JPEG, WEBP, HEIC}
