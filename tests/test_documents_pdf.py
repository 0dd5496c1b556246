"""PDF pages, their text layer and the process that reads them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import page_pdf, picture, scan_pdf, text_pdf

from router.documents import Limits, open_document, pdf_process, pdf_text, pdf_worker
from router.documents.pdf import render_size
from router.errors import CorruptDocumentError, LimitExceededError
from router.types import Rgb, Word

TEXT = b"BT /F1 24 Tf 72 700 Td (Total 12.50) Tj ET"


def first_page(data: bytes, limits: Limits | None = None) -> tuple[tuple[Word, ...], Rgb]:
    with open_document(data, "x", limits or Limits()) as opened:
        return opened.document.pages[0].words, opened.image(1)


def ink_box(rgb: Rgb) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of the dark pixels in page fractions."""
    rows, columns = np.nonzero(rgb.min(axis=2) < 128)
    height, width = rgb.shape[:2]
    return columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height


def assert_words_on_ink(words: tuple[Word, ...], rgb: Rgb) -> None:
    points = np.array([word.polygon for word in words]).reshape(-1, 2)
    left, top, right, bottom = ink_box(rgb)
    assert points[:, 0].min() == pytest.approx(left, abs=0.015)
    assert points[:, 0].max() == pytest.approx(right, abs=0.015)
    assert points[:, 1].min() == pytest.approx(top, abs=0.015)
    assert points[:, 1].max() == pytest.approx(bottom, abs=0.015)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("box", ["/MediaBox[0 0 595 842]", "/MediaBox[0 0 595 842]/CropBox[50 400 400 800]"])
@pytest.mark.parametrize("turn", ["1 0 0 1 100 700", "0 1 -1 0 200 500", "-1 0 0 -1 300 700", "0 -1 1 0 200 700"])
def test_words_lie_on_their_ink_however_page_and_text_are_turned(rotation: int, box: str, turn: str) -> None:
    content = f"BT /F1 24 Tf {turn} Tm (Total 12.50) Tj ET".encode()
    words, rgb = first_page(page_pdf(content, page=f"{box}/Rotate {rotation}".encode()))
    assert [word.text for word in words] == ["Total", "12.50"]
    assert_words_on_ink(words, rgb)
    for word in words:
        x1, y1, x2, y2, _, _, x4, y4 = word.polygon
        height, width = rgb.shape[:2]
        across = np.array([(x2 - x1) * width, (y2 - y1) * height])
        down = np.array([(x4 - x1) * width, (y4 - y1) * height])
        assert np.linalg.norm(across) > np.linalg.norm(down), "from the text's top left along its line"
        assert across[0] * down[1] - across[1] * down[0] > 0, "clockwise"
    x, y = (np.array(words[1].polygon) - np.array(words[0].polygon))[:2]
    start, end = np.array(words[0].polygon[:2]), np.array(words[0].polygon[2:4])
    assert np.dot((x, y), end - start) > 0, "the second word comes after the first"


def test_a_mirrored_text_matrix_keeps_words_on_their_ink() -> None:
    words, rgb = first_page(page_pdf(b"BT /F1 24 Tf 1 0 0 -1 100 700 Tm (Total 12.50) Tj ET"))
    assert [word.text for word in words] == ["Total", "12.50"]
    assert_words_on_ink(words, rgb)


def test_text_that_is_drawn_apart_gives_words_apart() -> None:
    content = b"BT /F1 12 Tf 72 700 Td (left) Tj 200 0 Td (right) Tj 0 -40 Td (below) Tj ET"
    assert [word.text for word in first_page(page_pdf(content))[0]] == ["left", "right", "below"]


def test_a_visible_text_layer_is_certain_and_an_invisible_one_is_not() -> None:
    content = b"BT /F1 24 Tf 72 700 Td (seen) Tj 3 Tr 0 -40 Td (hidden) Tj ET"
    with open_document(page_pdf(content), "x", text_layer="trust") as opened:
        words = opened.document.pages[0].words
    assert {word.text: word.confidence for word in words} == {"seen": 1.0, "hidden": None}


def test_text_off_the_page_is_dropped() -> None:
    content = b"BT /F1 12 Tf 72 700 Td (here) Tj 0 5000 Td (gone) Tj ET"
    assert [word.text for word in first_page(page_pdf(content))[0]] == ["here"]


def test_a_garbage_text_layer_counts_as_none() -> None:
    characters = np.zeros(10, pdf_text.CHARACTER)
    characters["right"] = characters["top"] = 1
    characters["code"] = [0xE001] * 5 + [ord("a")] * 5
    assert pdf_text.words(characters, (1, 0, 0, 0, -1, 1)) == ()
    characters["code"] = ord("a")
    assert len(pdf_text.words(characters, (0.1, 0, 0, 0, -0.1, 1))) == 1
    characters["flags"] = pdf_text.UNMAPPED
    assert pdf_text.words(characters, (1, 0, 0, 0, -1, 1)) == ()


def test_ligatures_surrogates_and_soft_hyphens_become_plain_text() -> None:
    codes = [0xFB01, ord("x"), 0xD83D, 0xDE00, 0xAD, 0x20, ord("y"), 0x07]
    characters = np.zeros(len(codes), pdf_text.CHARACTER)
    characters["code"] = codes
    characters["left"] = np.arange(len(codes))
    characters["right"] = np.arange(len(codes)) + 1
    characters["top"] = 1
    found = pdf_text.words(characters, (0.1, 0, 0, 0, -0.1, 1))
    assert [word.text for word in found] == ["fix\U0001f600-", "y"]


def test_the_two_sides_of_the_pipe_agree_on_a_character() -> None:
    assert pdf_text.CHARACTER.itemsize == pdf_worker.CHARACTER.size
    ours = (pdf_text.GENERATED, pdf_text.UNMAPPED, pdf_text.INVISIBLE, pdf_text.HYPHEN)
    assert ours == (pdf_worker.GENERATED, pdf_worker.UNMAPPED, pdf_worker.INVISIBLE, pdf_worker.HYPHEN)


def test_filled_form_fields_are_read_and_scripts_are_not_run() -> None:
    look = b"<</Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</F1 3 0 R>>>>/Length 38>>\nstream\n"
    look += b"BT /F1 12 Tf 2 5 Td (INV-0042) Tj ET   \nendstream"
    widget = b"<</Type/Annot/Subtype/Widget/FT/Tx/T(no)/V(INV-0042)/Rect[100 600 300 620]/F 4/AP<</N 5 0 R>>>>"
    page = b"/MediaBox[0 0 595 842]/Annots[6 0 R]/AA<</O<</S/JavaScript/JS(while\\(1\\);)>>>>"
    words, rgb = first_page(page_pdf(TEXT, page=page, extra=(look, widget)))
    assert [word.text for word in words] == ["Total", "12.50", "INV-0042"]
    assert rgb[int(2338 * (842 - 612) / 842)].min() < 128


def test_a_scan_has_no_words_and_is_not_blank() -> None:
    with open_document(scan_pdf([picture(800, 1000), picture(800, 1000)]), "x") as opened:
        assert [(page.words, page.blank) for page in opened.document.pages] == [((), False)] * 2
        assert opened.image(2).min() < 50


def test_a_stamp_on_a_scan_is_no_text_layer() -> None:
    lines = b"".join(b"72 %d m 90 %d l 90 %d l 72 %d l f " % (y, y, y + 5, y + 5) for y in range(100, 700, 10))
    columns = b"".join(b"1 0 0 1 40 0 cm " + lines for _ in range(5))
    words, _ = first_page(page_pdf(b"BT /F1 8 Tf 72 20 Td (Scanned by Phone) Tj ET q " + columns + b"Q"))
    assert words == ()


def test_an_empty_page_opens_and_is_blank() -> None:
    with open_document(page_pdf(b"", pages=3), "x") as opened:
        assert [page.blank for page in opened.document.pages] == [True] * 3


def test_large_pages_are_rendered_with_fewer_dots() -> None:
    limits = Limits()
    assert render_size(1, 595, 842, limits) == (1652, 2338, 200.0)
    width, height, dpi = render_size(1, 14_400, 14_400, limits)
    assert width * height <= limits.max_render_pixels
    assert dpi == pytest.approx(25.0, rel=0.01)
    with pytest.raises(LimitExceededError, match="inches"):
        render_size(1, 144_000, 144_000, limits)
    with pytest.raises(CorruptDocumentError):
        render_size(1, float("nan"), 10, limits)


def test_a_worker_that_is_killed_while_idle_is_replaced_unseen() -> None:
    data = text_pdf(["hello"])
    with open_document(data, "x") as opened:
        before = opened.image(1)
        for worker in list(pdf_process.POOL._idle):
            os.kill(worker.pid, signal.SIGKILL)
        opened._cache.clear()
        assert np.array_equal(opened.image(1), before)


def test_a_worker_that_dies_at_every_try_is_the_documents_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pdf_process.POOL.close()
    script = tmp_path / "dies.py"
    script.write_text("import os, sys, signal\nsys.stdin.buffer.read(4)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with monkeypatch.context() as patch:
        patch.setattr(pdf_process, "_SCRIPT", script)
        with pytest.raises(CorruptDocumentError, match="crash"):
            open_document(text_pdf(["hello"]), "x")
    with open_document(text_pdf(["hello"]), "x") as opened:
        assert len(opened.document.pages) == 1


def test_a_worker_killed_in_the_middle_is_asked_again() -> None:
    data = text_pdf(["hello"] * 30, pages=40)

    def kill_the_first(worker: pdf_process.PdfProcess) -> None:
        os.kill(worker.pid, signal.SIGKILL)

    with open_document(data, "x") as opened:
        pages = opened._pages
        killed: list[int] = []

        def once(worker: pdf_process.PdfProcess) -> int:
            if not killed:
                killed.append(worker.pid)
                kill_the_first(worker)
            worker.send({"op": "render", "page": 3, "width_px": 10, "height_px": 10}, b"", 10)
            return len(worker.receive(10)[1])

        assert pages._ask("page 3", once) == 300  # type: ignore[attr-defined]


def test_a_worker_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pdf_process.POOL.close()
    script = tmp_path / "sleeps.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(pdf_process, "_SCRIPT", script)
    with pytest.raises(LimitExceededError, match="too long"):
        open_document(text_pdf(["hello"]), "x", Limits(page_timeout_s=0.2))


def test_an_answer_that_cannot_be_read_is_the_documents_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pdf_process.POOL.close()
    script = tmp_path / "nests.py"
    script.write_text(
        "import os, time\nos.write(1, (200_000).to_bytes(4, 'little'))\n"
        "for _ in range(100):\n    os.write(1, b'[' * 2000)\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(pdf_process, "_SCRIPT", script)
    with pytest.raises(CorruptDocumentError, match="crash"):
        open_document(text_pdf(["hello"]), "x")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_with_its_own_worker() -> None:
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from bad_inputs import text_pdf
from router.documents import open_document, pdf_process
data = text_pdf(["hello"])
opened = open_document(data, "x")
ours = {worker.pid for worker in pdf_process.POOL._idle}
child = os.fork()
image = opened.image(1)
theirs = {worker.pid for worker in pdf_process.POOL._idle}
good = image.shape[2] == 3 and bool(ours & theirs) == (child != 0)
if child == 0:
    pdf_process.POOL.close()
    os._exit(0 if good else 1)
sys.exit(0 if good and os.waitpid(child, 0)[1] == 0 and opened.image(1) is not None else 1)
"""
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], timeout=60, check=False)
    assert done.returncode == 0


def test_threads_read_different_documents_at_once() -> None:
    wrong: list[str] = []

    def read(name: str) -> None:
        with open_document(text_pdf([name], pages=5), name) as opened:
            wrong.extend(name for page in opened.document.pages if [word.text for word in page.words] != [name])
            opened.image(5)

    threads = [threading.Thread(target=read, args=(f"name{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_pdf_that_only_forbids_changes_is_read() -> None:
    assert [word.text for word in first_page(text_pdf(["hello"], password="", owner_password="key"))[0]] == ["hello"]


def test_a_worker_is_replaced_after_many_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_process, "_MAX_DOCUMENTS", 2)
    pdf_process.POOL.close()
    seen: set[int] = set()
    for number in range(4):
        with open_document(text_pdf([f"page {number}"]), "x"):
            seen.update(worker.pid for worker in pdf_process.POOL._idle)
    assert len(seen) == 2


def test_only_the_last_few_pictures_are_kept() -> None:
    with open_document(text_pdf(["hello"], pages=6), "x", Limits(max_cached_pages=2)) as opened:
        pictures = [opened.image(number) for number in range(1, 7)]
        assert list(opened._cache) == [5, 6]
        assert opened.image(6) is pictures[5]
