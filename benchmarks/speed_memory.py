"""Peak memory of reading a long PDF, in a process of its own. Knows no timing."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends.base import ExtractionRequest
from backends.ocr.backend import OcrLane
from benchmarks.synth import make_document, save_pdf
from router.documents import read_file
from router.schema import builtin
from router.score import score_document

LONG_PDF_PAGES = 300


def long_pdf_memory() -> dict[str, Any]:
    """Return the peak memory of reading a digital PDF of 300 pages and rendering all, PDF process included."""
    document = make_document("invoice", 0)
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.pdf"
        save_pdf(replace(document, pages=document.pages[:1] * LONG_PDF_PAGES), path)
        process = context.Process(target=_long_pdf_peak, args=(path, answer))
        started = time.perf_counter()
        process.start()
        process.join()
        elapsed_s = time.perf_counter() - started
    if process.exitcode:
        return {"failed": f"exit code {process.exitcode}"}
    return {"peak_mb": answer.get() / 1e6, "elapsed_s": elapsed_s, "pages": LONG_PDF_PAGES}


def _long_pdf_peak(path: Path, answer: Any) -> None:
    peak_bytes, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak_bytes
        while not done.wait(0.05):
            peak_bytes = max(peak_bytes, sum(map(_resident_bytes, [os.getpid(), *_children(os.getpid())])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with read_file(path) as opened:
        request = ExtractionRequest(opened.document, opened, builtin("invoice"), "fast")
        score_document(opened.document, opened)
        OcrLane("ocr-fast", thorough=False).extract(request)
        for page in opened.document.pages:
            opened.image(page.number)
    done.set()
    watcher.join()
    answer.put(peak_bytes)


def _children(process: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            if int(status.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(status.parent.name))
    return found


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # it ended meanwhile
        return 0
