"""The documents of `samples/`: which kinds, layouts and damage. Knows no drawing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.degrade import degrade
from benchmarks.synth import SynthDocument, make_document, render, save_pdf


@dataclass(frozen=True)
class Sample:
    """One file of the folder; `damage` is a list of (kind, severity)."""

    file: str
    kind: str
    seed: int
    layout: str
    pages: int | None = None
    damage: tuple[tuple[str, float], ...] = ()
    dpi: int = 200
    about: str = field(default="")


SAMPLES = (
    Sample("receipt-clean.png", "receipt", 7, "till", about="a clean receipt of a monospaced till"),
    Sample(
        "receipt-skewed.jpg",
        "receipt",
        8,
        "trading",
        damage=(("skew", 0.5), ("blur", 0.3)),
        about="photographed askew",
    ),
    Sample(
        "receipt-faded.jpg",
        "receipt",
        3,
        "supermarket",
        damage=(("fade", 0.6), ("low_resolution", 0.25)),
        about="a faded thermal print, few pixels",
    ),
    Sample(
        "receipt-shadow.jpg",
        "receipt",
        5,
        "cafe",
        damage=(("shadow", 0.7), ("noise", 0.3)),
        about="noise and a shadow",
    ),
    Sample("invoice-digital.pdf", "invoice", 62, "ship_to", 1, about="a digital PDF of one page"),
    Sample("invoice-three-pages.pdf", "invoice", 3, "letter", 3, about="a digital PDF, sums carried over three pages"),
    Sample(
        "invoice-scan.jpg", "invoice", 6, "classic", 1, (("skew", 0.12), ("noise", 0.15)), about="a scan of one page"
    ),
    Sample(
        "invoice-scan-two-pages.tiff", "invoice", 4, "boxed_grid", 2, (("noise", 0.1),), about="a TIFF of two pages"
    ),
    Sample("invoice-other-language.pdf", "invoice", 5, "french_frame", 1, about="in French"),
    Sample("invoice-upside-down.jpg", "invoice", 5, "sidebar", 1, (("rotate180", 1.0),), about="scanned upside down"),
    Sample("statement-digital.pdf", "bank_statement", 1, "ledger", 2, about="a digital PDF of two pages"),
    Sample("statement-scan.jpg", "bank_statement", 2, "boxed", 1, (("skew", 0.1), ("jpeg", 0.4)), about="a scan"),
)


def make_samples(folder: Path) -> list[Path]:
    """Write every sample with its key and the folder's README; return the documents' paths."""
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in SAMPLES:
        document = make_document(sample.kind, sample.seed, sample.layout, sample.pages)
        path = folder / sample.file
        _write(sample, document, path)
        write_key(document, folder / "keys" / f"{path.stem}.json")
        paths.append(path)
    (folder / "README.md").write_text(_readme(), encoding="utf-8")
    return paths


def write_key(document: SynthDocument, path: Path) -> None:
    """Write the document's key as JSON."""
    path.write_text(json.dumps(document.key, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def damaged(document: SynthDocument, damage: tuple[tuple[str, float], ...], seed: int, dpi: float) -> list[Image.Image]:
    """Return every page's picture after the named damage, in order."""
    pictures = []
    for number, page in enumerate(document.pages):
        rgb = np.asarray(render(page, dpi))
        for kind, severity in damage:
            rgb = degrade(rgb, kind, severity, seed + number)
        pictures.append(Image.fromarray(rgb))
    return pictures


def _write(sample: Sample, document: SynthDocument, path: Path) -> None:
    if path.suffix == ".pdf":
        save_pdf(document, path)
        return
    cv2.setNumThreads(1)
    pictures = [p.convert("L") for p in damaged(document, sample.damage, sample.seed, sample.dpi)]
    if path.suffix == ".tiff":
        black_white = [p.point(lambda v: 255 if v > 140 else 0).convert("1") for p in pictures]
        black_white[0].save(
            path, save_all=True, append_images=black_white[1:], compression="group4", dpi=(sample.dpi,) * 2
        )
    else:
        pictures[0].save(path, quality=60, optimize=True, dpi=(sample.dpi,) * 2)


def _readme() -> str:
    rows = "\n".join(f"| `{s.file}` | {s.kind.replace('_', ' ')} | {s.about} |" for s in SAMPLES)
    return (
        "# Sample documents\n\n"
        "Drawn by `python -m benchmarks.synth --samples samples`; every name, address and number in them is invented.\n"
        "`keys/NAME.json` holds what each one says: ISO dates, amounts as `123.45`, text as printed with lines joined\n"
        "by a space, `null` for a field that the document does not have.\n\n"
        f"| file | kind | what it shows |\n|---|---|---|\n{rows}\n"
    )
