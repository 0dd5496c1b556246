"""What a picture may take of memory: one process, known beforehand, and never the caller's."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_inputs import encode, picture, text_pdf
from PIL import Image

from router.confined.rows import rgb_rows
from router.documents import Limits, open_document, pdf_process, picture_process
from router.documents.decoder_pool import MAX_AT_WORK, DecoderPool
from router.documents.decoder_process import DecoderProcess
from router.errors import DocumentError, LimitExceededError

SIDE = 10_000
MODES = ["RGB", "RGBA", "LA", "L", "1", "P", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"]


def tiff(side: int, strip_rows: int, samples: int = 4) -> bytes:
    """A small file that says and gives side x side pixels: all of its strips are the same packed bytes."""
    strip = zlib.compress(b"\x80" * (side * samples * strip_rows), 9) if strip_rows < side else b"never unpacked"
    count = -(-side // strip_rows)
    head = 8 + 2 + 12 * 10 + 4
    offsets, counts = head + 8, head + 8 + 4 * count
    data_at = counts + 4 * count
    tags = [
        *((256, 4, 1, side), (257, 4, 1, side), (258, 3, samples, head), (259, 3, 1, 8), (262, 3, 1, 2)),
        *((273, 4, count, offsets), (277, 3, 1, samples), (278, 4, 1, strip_rows), (279, 4, count, counts)),
        (338, 3, 1, 2),
    ]
    if count == 1:
        tags = [(tag, kind, n, data_at if tag == 273 else len(strip) if tag == 279 else v) for tag, kind, n, v in tags]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    bits = struct.pack("<4H", 8, 8, 8, 8)
    lists = struct.pack(f"<{count}I", *[data_at] * count) + struct.pack(f"<{count}I", *[len(strip)] * count)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + bits + lists + strip


def peak_bytes(pid: int | str = "self") -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hundred_megapixels_are_read_in_700_megabytes() -> None:
    picture_process.POOL.close()
    with open_document(tiff(SIDE, 100), "x", Limits(page_timeout_s=300)) as opened:
        (page,) = opened.document.pages
        assert page.width_px * page.height_px <= Limits().max_picture_pixels
        assert opened.image(1)[5, 5].tolist() == [191, 191, 191], "half transparent grey on white"
        assert opened.document.notes == (f"page 1 of {SIDE} x {SIDE} pixels is read at 6324 x 6324",)
        (worker,) = picture_process.POOL._idle
        assert peak_bytes(worker.pid) < 600_000_000


def test_what_cannot_be_read_in_its_memory_is_refused_in_plain_words() -> None:
    with pytest.raises(LimitExceededError, match=r"needs about \d+ MB .* picture_memory_bytes .*; scan it"):
        open_document(tiff(SIDE, SIDE), "x")
    vast = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (9999 | 9999 << 14).to_bytes(4, "little") + b"\0" * 40
    with pytest.raises(LimitExceededError, match=r"10000 x 10000 pixels needs about \d+ MB"):
        open_document(vast, "x")


@pytest.mark.skipif(sys.platform != "linux", reason="only there is memory bounded")
def test_the_bound_of_the_process_holds_whatever_was_expected() -> None:
    code = """
from router.confined import protocol
protocol._UNUSED_BYTES = protocol._unused_bytes()
protocol.bound_memory(150_000_000)
fits = bytearray(80_000_000)
try:
    bytearray(80_000_000)
except MemoryError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "refused\n", done.stderr


def test_a_progressive_jpeg_is_reduced_while_it_is_decoded_where_it_would_take_too_much() -> None:
    large = encode(picture(3600, 3600), "JPEG", progressive=True)
    limits = Limits(picture_memory_bytes=150_000_000)
    with open_document(large, "x", limits) as opened:
        assert opened.image(1).shape == (1800, 1800, 3)
        assert opened.document.notes == ("page 1 of 3600 x 3600 pixels is read at 1800 x 1800",)
    with open_document(large, "x") as opened:
        assert opened.image(1).shape == (3600, 3600, 3)


@pytest.mark.parametrize("mode", MODES)
def test_rows_in_bands_are_those_of_the_whole_picture(mode: str) -> None:
    side = 1300  # more than one band
    base = np.add.outer(np.arange(side), 3 * np.arange(side)) % 251
    image = Image.fromarray(base.astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((base * 200).astype(np.uint16))
    elif mode == "LAB":
        image = Image.merge("LAB", (image, image, image))
    else:
        image = image.convert(mode)
    rows = np.frombuffer(b"".join(rgb_rows(image, image.size)), np.uint8).reshape(side, side, 3)
    if mode in ("RGB", "L", "1", "P", "CMYK", "YCbCr", "LAB"):
        assert np.array_equal(rows, np.asarray(image.convert("RGB")))
    reduced = np.frombuffer(b"".join(rgb_rows(image, (700, 650))), np.uint8).reshape(650, 700, 3)
    whole = Image.fromarray(rows).resize((700, 650), Image.Resampling.HAMMING)
    assert np.abs(reduced.astype(int) - np.asarray(whole).astype(int)).max() <= 1


def test_a_page_and_its_resolution_are_reduced_together() -> None:
    data = encode(picture(800, 1000), "PNG", dpi=(200, 200))
    with open_document(data, "x", Limits(max_picture_pixels=200_000)) as opened:
        (page,) = opened.document.pages
        assert (page.width_px, page.height_px) == (400, 500)
        assert page.dpi == pytest.approx(100, abs=0.1)
    with open_document(data, "x", Limits(max_picture_pixels=200_000), picture=page) as again:
        assert again.image(1).shape == (500, 400, 3)


def test_no_more_decoders_of_a_process_work_at_once_than_their_memory_is_reckoned_with() -> None:
    at_work, most = 0, 0
    lock, done = threading.Lock(), threading.Barrier(MAX_AT_WORK)

    def call(_: object) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        done.wait(60)  # as many as may are here at once, and the others only when these have gone
        with lock:
            at_work -= 1

    threads = [
        threading.Thread(target=picture_process.POOL.ask, args=(str(number), "x", call))
        for number in range(2 * MAX_AT_WORK)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == MAX_AT_WORK


FAILING = [
    pytest.param(b"%PDF-1.7\nno PDF" + b" " * 100 + b"\n%%EOF", pdf_process.POOL, id="no PDF"),
    pytest.param(text_pdf(["hello"], pages=3), pdf_process.POOL, id="too many pages"),
    pytest.param(encode(picture(), "PNG")[:60], picture_process.POOL, id="half a picture"),
    pytest.param(encode(picture(), "JPEG")[:-900], picture_process.POOL, id="a picture without its end"),
]


@pytest.mark.parametrize(("data", "pool"), FAILING)
def test_a_document_that_cannot_be_read_is_dropped(
    data: bytes, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[str | None] = []
    drop = DecoderProcess.drop

    def noted(worker: DecoderProcess) -> bool:
        dropped.append(worker.document_id)
        return drop(worker)

    monkeypatch.setattr(DecoderProcess, "drop", noted)
    pool.close()
    with pytest.raises(DocumentError):
        open_document(data, "x", Limits(max_pages=2))
    assert len(dropped) == 1
    assert [worker.document_id for worker in pool._idle] == [None]


def test_a_picture_of_one_page_is_asked_for_once_and_then_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    send = DecoderProcess.send

    def noted(worker: DecoderProcess, header: dict[str, Any], payload: bytes, timeout_s: float) -> None:
        sent.append(header["op"])
        send(worker, header, payload, timeout_s)

    monkeypatch.setattr(DecoderProcess, "send", noted)
    data = encode(picture(), "PNG")
    with open_document(data, "x") as opened:
        first = opened.image(1)
    with open_document(data, "x", picture=opened.document.pages[0]) as again:
        assert np.array_equal(again.image(1), first)
    assert sent == ["open", "open"]


def test_the_same_file_opened_twice_has_all_its_pages_both_times() -> None:
    pages = [Image.fromarray(np.full((40, 50), shade, np.uint8)) for shade in (10, 100, 200)]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with open_document(data, "x") as one, open_document(data, "x") as other:
        assert len(one.document.pages) == len(other.document.pages) == 3
        assert [int(other.image(number)[0, 0, 0]) for number in (3, 1, 2)] == [200, 10, 100]
        assert int(one.image(2)[0, 0, 0]) == 100


def test_the_longest_time_limits_are_no_error() -> None:
    with open_document(encode(picture(), "PNG"), "x", Limits(page_timeout_s=1e9)) as opened:
        assert len(opened.document.pages) == 1
