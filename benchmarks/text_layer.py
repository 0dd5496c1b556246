"""What checking text layers costs and changes, on PDFs that have honest ones.

    python -m benchmarks.text_layer PATH... [--rounds N]

reads each digital PDF through opening, score and the fast lane, with `text_layer` trust and auto by turns, and prints
the ratio of their median CPU times (this process and the one that holds PDFium), which layers were not believed, and
how many values differ. Believe the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

from backends.base import ExtractionRequest
from backends.ocr.backend import OcrLane
from backends.ocr.layer_check import LayerCheck
from backends.ocr.reading import OcrReader
from router.documents import TextLayer, read_file
from router.documents.pdf_process import POOL
from router.schema import AUTO, builtin
from router.score import score_document
from router.types import Extraction

MODES: tuple[TextLayer, TextLayer] = ("trust", "auto")


def read(path: Path, mode: TextLayer) -> tuple[Extraction, int]:
    """Return the fast lane's reading and the number of pages; nothing that was read before is used."""
    lane = OcrLane("ocr-fast", thorough=False, reader=OcrReader(), check=LayerCheck())
    with read_file(path, text_layer=mode) as opened:
        score_document(opened.document, opened)
        return lane.extract(ExtractionRequest(opened.document, opened, builtin(AUTO), "fast")), len(
            opened.document.pages
        )


def cpu_s() -> float:
    """Return the CPU seconds of this process and its idle PDF workers so far."""
    worker = POOL.take("")
    POOL.give(worker)
    nanoseconds = int(Path(f"/proc/{worker.pid}/schedstat").read_text().split()[0])
    return time.process_time() + nanoseconds / 1e9


def measured(path: Path, rounds: int) -> tuple[float, float, int, Extraction]:
    """Return the seconds a page of both modes, how many values differ, and the checked reading."""
    spent: dict[TextLayer, list[float]] = {mode: [] for mode in MODES}
    found: dict[TextLayer, Extraction] = {}
    for _ in range(rounds + 1):
        for mode in MODES:
            started = cpu_s()
            found[mode], pages = read(path, mode)
            spent[mode].append((cpu_s() - started) / pages)
    trusted, checked = found["trust"].fields, found["auto"].fields
    different = sum((trusted[n].value, trusted[n].rows) != (checked[n].value, checked[n].rows) for n in trusted)
    trust, auto = (statistics.median(spent[mode][1:]) for mode in MODES)
    return trust, auto, different, found["auto"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+", help="PDFs, or folders of PDFs")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    table = Table("document", "trust, ms a page", "auto", "ratio", "values that differ", "not believed")
    ratios = []
    for path in sorted(p for given in options.paths for p in (given.glob("*.pdf") if given.is_dir() else [given])):
        trust, auto, different, reading = measured(path, options.rounds)
        ratios.append(auto / trust)
        doubted = "; ".join(f"{page}: {reason}" for page, reason in reading.disbelieved.items())
        table.add_row(
            path.name, f"{1000 * trust:.0f}", f"{1000 * auto:.0f}", f"{ratios[-1]:.2f}", str(different), doubted
        )
    console = Console()
    console.print(table)
    console.print(f"median ratio {statistics.median(ratios):.2f}, worst {max(ratios):.2f}, {len(ratios)} documents")


if __name__ == "__main__":
    main()
