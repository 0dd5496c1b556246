"""Labelled documents for training and measuring.

Real ones read by OCR, reference lines, and synthetic ones drawn word for word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backends.ocr.layout import DocumentLayout, PageLayout, Segment, build_layout, document_layout, segments_from_words
from backends.ocr.reading import READINGS
from benchmarks.degrade import noisy_words
from benchmarks.readings import cached_layouts, images_of
from benchmarks.synth import make_document
from router.schema import builtin
from router.types import Word

SCHEMA_OF = {"receipts": "receipt", "reference": "receipt", "invoices": "invoice", "pdfs": "invoice"}
_RENAMED = {"tax_amount": "gst_amount"}


@dataclass(frozen=True)
class Labelled:
    """A document with its key.

    `group` must not be split between training and test; a key's null says the field is absent.
    """

    name: str
    source: str
    schema: str
    group: str
    layouts: tuple[DocumentLayout, ...]
    key: dict[str, str | None]
    path: Path | None = None

    @property
    def real(self) -> bool:
        """Return whether this is a real document."""
        return self.source in ("receipts", "invoices", "pdfs")


def real_documents(data: Path, sources: tuple[str, ...] = ("receipts", "invoices", "pdfs")) -> list[Labelled]:
    """Return the documents of the data folder with all readings."""
    found = []
    for path in images_of(data):
        source = path.parent.name if path.parent.name == "pdfs" else path.parent.parent.name
        if source in sources:
            key = _key(data / source / ("" if source == "pdfs" else "keys") / f"{path.stem}.json")
            group = path.stem.split("_")[0] if source == "invoices" else path.stem
            found.append(
                Labelled(path.stem, source, SCHEMA_OF[source], f"{source}/{group}", cached_layouts(path), key, path)
            )
    return found


def reference_documents(data: Path) -> list[Labelled]:
    """Return the receipts of which only reference text lines are on hand."""
    read = {p.stem for p in images_of(data)}
    names = sorted(p.stem for p in (data / "receipts" / "lines").glob("*.csv"))
    return [
        Labelled(
            n,
            "reference",
            "receipt",
            f"receipts/{n}",
            (_reference(data / "receipts" / "lines" / f"{n}.csv"),) * READINGS,
            key,
        )
        for n in names
        if n not in read
        for key in [_key(data / "receipts" / "keys" / f"{n}.json")]
    ]


def synthetic_documents(counts: dict[str, int], seed: int = 0, noise: float = 0.02) -> Iterator[Labelled]:
    """Yield synthetic documents: every other one word for word (a text layer), the rest read by three."""
    for schema, count in counts.items():
        for number in range(count):
            document = make_document(schema, seed + number)
            pages = [(page.words, page.height_px / page.width_px) for page in document.pages]
            rates = (noise, 2 * noise, noise) if number % 2 else (0.0, 0.0, 0.0)
            layouts = tuple(_drawn(pages, rate, 3 * (seed + number) + k) for k, rate in enumerate(rates))
            key = {k: v for k, v in document.key.items() if v is None or isinstance(v, str)}
            yield Labelled(
                f"{schema}-{seed + number}", "synthetic", schema, f"synthetic/{document.layout}", layouts, key
            )


def misread(document: Labelled, seed: int, rates: tuple[float, float, float] = (0.25, 0.35, 0.2)) -> Labelled:
    """Return a copy of a document known word for word, as three recognisers might read it: `rates` of lines damaged."""
    pages = [
        (tuple(Word(text=s.text, polygon=s.polygon, confidence=1.0) for s in page.segments), page.height)
        for page in document.layouts[0].pages
    ]
    layouts = tuple(_drawn(pages, rate, 3 * seed + k) for k, rate in enumerate(rates))
    return replace(document, name=f"{document.name}-misread", source="misread", layouts=layouts)


def _drawn(pages: Sequence[tuple[Sequence[Word], float]], rate: float, seed: int) -> DocumentLayout:
    """Return the layout of pages given as (words, height in page widths), with simulated reading errors."""
    layouts = []
    for number, (words, height) in enumerate(pages, 1):
        read = noisy_words(words, rate, seed) if rate else words
        layouts.append(build_layout(number, height, segments_from_words(read, number, height)))
    return document_layout(layouts)


def _key(path: Path) -> dict[str, str | None]:
    raw = json.loads(path.read_text("utf-8"))
    return {_RENAMED.get(k, k): v for k, v in raw.items() if v is None or isinstance(v, str)}


def _reference(path: Path) -> DocumentLayout:
    """Return a layout from lines `x1,y1,...,x4,y4,text`; the page's size is unknown: the text's extent stands in."""
    rows = [
        line.split(",", 8) for line in path.read_text("utf-8", errors="replace").splitlines() if line.count(",") >= 8
    ]
    lines = [(np.array(row[:8], float).reshape(4, 2), row[8].strip()) for row in rows if row[8].strip()]
    corners = np.concatenate([quad for quad, _ in lines])
    width, height = corners.max(axis=0) * (1.05, 1.03)
    segments = []
    for quad, text in lines:
        (x0, y0), (x1, y1) = quad.min(axis=0) / width, quad.max(axis=0) / width
        polygon = tuple(np.clip(quad / (width, height), 0, 1).reshape(-1))
        n = len(text)
        segments.append(
            Segment(text, (x0, y0, x1, y1), polygon, 1, (1.0,) * n, tuple((i + 0.5) / n for i in range(n)))  # type: ignore[arg-type]
        )
    page: PageLayout = build_layout(1, height / width, segments)
    return document_layout([page])


def vocabulary_of(documents: list[Labelled], concepts: frozenset[str], least: int = 2) -> frozenset[str]:
    """Return the words of names and addresses that occur in at least `least` documents, and all concept words."""
    from backends.ocr.repair import plain

    counts: dict[str, int] = {}
    for document in documents:
        texts = [v for k, v in document.key.items() if v and k.endswith(("_name", "_address"))]
        for word in {w for text in texts for w in re.findall(r"[^\W\d_]{2,}", plain(text).upper())}:
            counts[word] = counts.get(word, 0) + 1
    return frozenset(w for w, n in counts.items() if n >= least) | concepts


def fields_of(schema: str) -> tuple[str, ...]:
    """Return the names of a schema's fields that are no table."""
    return tuple(f.name for f in builtin(schema).fields if f.kind != "table")
