"""Reads labelled documents by OCR once and keeps what was read in .cache/readings.

Reading takes most of the time.

    python -m benchmarks.readings DATA --processes 2
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rich.progress import Progress

from backends.ocr.engine import OcrLine, PageReading, read_again, read_page
from backends.ocr.layout import DocumentLayout, document_layout
from backends.ocr.reading import READINGS, layout_of_text
from backends.ocr.recogniser import LineReading
from router.documents import read_file
from router.features import has_usable_text_layer
from router.types import Rgb

CACHE = Path(".cache/readings")


def images_of(data: Path) -> list[Path]:
    """Return the documents of the data folder: receipts, invoices and PDFs."""
    folders = (data / "receipts" / "images", data / "invoices" / "images")
    return sorted(p for f in folders if f.is_dir() for p in f.iterdir()) + sorted((data / "pdfs").glob("*.pdf"))


def cached_layouts(path: Path) -> tuple[DocumentLayout, ...]:
    """Return the thorough reading of a document, one layout a recogniser, from the cache or read now."""
    kept = CACHE / f"{path.parent.parent.name}-{path.stem}.json"
    if path.suffix == ".pdf":
        return _read_pdf(path)
    if not kept.is_file():
        with read_file(path) as opened:
            pages = [_read_thoroughly(opened.image(p.number), p.number) for p in opened.document.pages]
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{multiprocessing.current_process().pid}")
        partial.write_text(json.dumps([asdict(page) for page in pages]))
        partial.replace(kept)
    pages = [_page(raw) for raw in json.loads(kept.read_text())]
    return tuple(document_layout([page.layout(k) for page in pages]) for k in range(READINGS))


def _read_pdf(path: Path) -> tuple[DocumentLayout, ...]:
    with read_file(path) as opened:
        layouts = []
        for page in opened.document.pages:
            usable = has_usable_text_layer(page)
            layouts.append(
                layout_of_text(page) if usable else read_page(opened.image(page.number), page.number).layout()
            )
    return (document_layout(layouts),) * READINGS


def _read_thoroughly(rgb: Rgb, number: int) -> PageReading:
    return read_again(rgb, read_page(rgb, number))


def _page(raw: dict[str, object]) -> PageReading:
    lines = tuple(
        OcrLine(
            tuple(line["box"]),
            tuple(line["polygon"]),
            tuple(_line(r) for r in line["readings"]),
            tuple(line.get("quad", ())),
        )  # type: ignore[arg-type]
        for line in raw["lines"]  # type: ignore[attr-defined]
    )
    return PageReading(raw["number"], raw["height"], raw["turned"], lines)  # type: ignore[arg-type]


def _line(raw: dict[str, object]) -> LineReading:
    return LineReading(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})  # type: ignore[arg-type]


def read_all(paths: Iterable[Path], processes: int) -> None:
    """Fill the cache."""
    paths = list(paths)
    with multiprocessing.get_context("spawn").Pool(processes) as pool, Progress() as progress:
        task = progress.add_task("reading", total=len(paths))
        for _ in pool.imap_unordered(_fill, paths):
            progress.advance(task)


def _fill(path: Path) -> None:
    cached_layouts(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    read_all(images_of(options.data), options.processes)


if __name__ == "__main__":
    main()
