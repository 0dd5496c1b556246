"""Whatever bytes come, the reader gives a document or a `DocumentError`, within bounds of time and memory."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator

import pytest
from bad_inputs import encode, page_pdf, picture, scan_pdf, text_pdf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from router.documents import Limits, open_document
from router.errors import DocumentError

MEMORY_BYTES = 1_000_000_000
LIMITS = Limits(
    max_pages=20,
    max_page_pixels=4_000_000,
    max_render_pixels=1_000_000,
    page_timeout_s=10,
    worker_memory_bytes=400_000_000,
)


def heic() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture(64, 64)).save(buffer)
    return buffer.getvalue()


def seeds() -> dict[str, bytes]:
    small = picture(120, 90)
    exif = Image.Exif()
    exif[0x0112] = 6
    widget = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(b)/Rect[10 10 90 30]/F 4>>"
    return {
        "png": encode(small, "PNG", dpi=(200, 200)),
        "png_palette": encode(small.quantize(8), "PNG", transparency=0),
        "jpeg": encode(small, "JPEG", exif=exif, dpi=(200, 200)),
        "jpeg_progressive": encode(small.convert("CMYK"), "JPEG", progressive=True),
        "tiff": encode(small, "TIFF", save_all=True, append_images=[small.convert("1")], dpi=(200, 100)),
        "tiff_packed": encode(small, "TIFF", compression="tiff_adobe_deflate"),
        "tiff_fax": encode(small.convert("1"), "TIFF", compression="group4"),
        "webp": encode(small, "WEBP"),
        "webp_moving": encode(small, "WEBP", save_all=True, append_images=[small.rotate(90)]),
        "heic": heic(),
        "pdf": page_pdf(b"BT /F1 24 Tf 72 700 Td (Total 12.50) Tj ET", pages=2),
        "pdf_form": page_pdf(b"0 0 9 9 re f", page=b"/MediaBox[0 0 99 99]/Annots[5 0 R]", extra=(widget,)),
        "pdf_text": text_pdf(["Invoice 1", "Total 12.50"]),
        "pdf_scan": scan_pdf([small]),
    }


SEEDS = list(seeds())
MUTATION = st.tuples(
    st.sampled_from(["overwrite", "insert", "delete", "repeat", "number", "cut"]),
    st.floats(0, 1),
    st.integers(1, 64),
    st.binary(min_size=1, max_size=8),
)
NUMBERS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"99999999", b"-1 "]


def mutate(data: bytes, mutation: tuple[str, float, int, bytes]) -> bytes:
    """Return the bytes with one change at a place told as a fraction of the length."""
    kind, place, length, new = mutation
    # half of all places lie in the first kilobyte, where headers are
    at = int(place * 2 * min(1024, len(data))) if place < 0.5 else int((place - 0.5) * 2 * len(data))
    head, tail = data[:at], data[at:]
    if kind == "overwrite":
        return head + new + tail[len(new) :]
    if kind == "insert":
        return head + new * length + tail
    if kind == "delete":
        return head + tail[length:]
    if kind == "repeat":
        return head + tail[:length] * 3 + tail[length:]
    if kind == "number":
        number = NUMBERS[length % len(NUMBERS)]
        return head + number + tail[len(number) :]
    return head + tail[: max(1, len(tail) - length)]


@pytest.fixture(scope="module")
def originals() -> dict[str, bytes]:
    return seeds()


@pytest.fixture(scope="module", autouse=True)
def _memory_bound() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def read_whole(data: bytes) -> None:
    """Read everything the reader offers; only a `DocumentError` may stop it, in one line."""
    try:
        with open_document(data, "x", LIMITS) as opened:
            for page in opened.document.pages:
                assert opened.image(page.number).shape == (page.height_px, page.width_px, 3)
    except DocumentError as exc:
        assert str(exc).strip()  # noqa: PT017
        assert "\n" not in str(exc)  # noqa: PT017


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(mutations=st.lists(MUTATION, min_size=1, max_size=6))
def test_a_damaged_document_gives_pages_or_a_document_error(
    originals: dict[str, bytes], name: str, mutations: list[tuple[str, float, int, bytes]]
) -> None:
    data = originals[name]
    for mutation in mutations:
        data = mutate(data, mutation)
    read_whole(data)


@pytest.mark.timeout(120)
@settings(max_examples=50)
@given(
    head=st.sampled_from(
        [b"", b"%PDF-1.7\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"RIFF\0\0\0\0WEBPVP8X"]
    ),
    tail=st.binary(max_size=400),
)
def test_a_known_head_with_any_tail_gives_a_document_error(head: bytes, tail: bytes) -> None:
    with pytest.raises(DocumentError):
        open_document(head + tail, "x", LIMITS)
