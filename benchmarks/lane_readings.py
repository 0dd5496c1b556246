"""What both lanes read on real documents, by scorers that have not seen them; kept in .cache/lanes.

The lanes run as they ship, except that words come from the cache of `benchmarks.readings` and the scorer is the one
fitted without the document's fold (`benchmarks.train_scorer`: by document for receipts, by layout for invoices).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from rich.progress import track

from backends.base import ExtractionRequest
from backends.ocr.backend import OcrLane
from backends.ocr.layout import DocumentLayout
from backends.ocr.scorer import Scorer, parse_scorer
from benchmarks.corpus import Labelled, real_documents, reference_documents
from benchmarks.train_scorer import FOLDS, SCORERS, folds_of
from router.documents import read_file
from router.schema import Schema, builtin
from router.score import score_document
from router.types import ComplexityScore, Document, Extraction, Frozen, PageSource

CACHE = Path(".cache/lanes")
_SOURCES = ("backends/ocr/**/*.py", "backends/ocr/data/*.toml", "router/*.py", "router/data/*.toml")
_AFTER_THE_LANES = ("merge", "settle", "combine", "choice", "policy", "calibrate", "evaluate", "validators")


class Reading(Frozen):
    """One document as both lanes read it. `key` None for a field says that the document has no such field."""

    name: str
    filename: str
    source: str
    schema_name: str
    fold: int
    key: dict[str, str | None]
    document: Document
    score: ComplexityScore
    fast: Extraction
    deep: Extraction

    def asked(self) -> Schema:
        """Return the schema that was asked for."""
        return builtin(self.schema_name)

    def keyed(self) -> tuple[str, ...]:
        """Return the fields that the key tells of, in schema order; tables are measured elsewhere."""
        return tuple(f.name for f in self.asked().fields if f.name in self.key and f.kind != "table")


_Readings = TypeAdapter(list[Reading])


@dataclass(frozen=True)
class CachedReader:
    """Serves what was read before."""

    layouts: tuple[DocumentLayout, ...]

    def read(self, document: Document, pages: PageSource, thorough: bool) -> tuple[DocumentLayout, ...]:
        """Return all layouts, or the first when not thorough."""
        return self.layouts if thorough else self.layouts[:1]


def lane_readings(data: Path, scorers: Path = SCORERS) -> list[Reading]:
    """Return what both lanes read on every real document, from the cache while scorers and lanes are the same."""
    kept = CACHE / f"{_fingerprint(data, scorers)}.json"
    if kept.is_file():
        return _Readings.validate_json(kept.read_bytes())
    folds = fold_by_group(data)
    fitted = [load_scorer(scorers / f"fold{fold}.npz") for fold in range(FOLDS)]
    jobs = [(d, folds[d.group]) for d in real_documents(data)]
    readings = [_read(d, fold, fitted[fold]) for d, fold in track(jobs, description="lanes")]
    CACHE.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(_Readings.dump_json(readings))
    return readings


def fold_by_group(data: Path) -> dict[str, int]:
    """Return the fold in which `benchmarks.train_scorer` left each group of documents out."""
    documents = [*real_documents(data), *reference_documents(data)]
    return {d.group: int(fold) for d, fold in zip(documents, folds_of(documents), strict=True)}


def load_scorer(path: Path) -> Scorer:
    with np.load(path, allow_pickle=False) as arrays:
        return parse_scorer(dict(arrays))


def _read(labelled: Labelled, fold: int, scorer: Scorer) -> Reading:
    assert labelled.path is not None
    schema, reader = builtin(labelled.schema), CachedReader(labelled.layouts)
    fast = OcrLane("ocr-fast", False, reader, lambda: scorer)
    deep = OcrLane("ocr-deep", True, reader, lambda: scorer)
    with read_file(labelled.path) as opened:
        document = opened.document
        score = score_document(document, opened)
        extractions: Mapping[str, Extraction] = {
            "fast": fast.extract(ExtractionRequest(document, opened, schema, "fast")),
            "deep": deep.extract(ExtractionRequest(document, opened, schema, "deep")),
        }
    return Reading(
        name=labelled.name,
        filename=labelled.path.name,
        source=labelled.source,
        schema_name=labelled.schema,
        fold=fold,
        key=labelled.key,
        document=document,
        score=score,
        **extractions,
    )


def _fingerprint(data: Path, scorers: Path) -> str:
    sources = [p for pattern in _SOURCES for p in sorted(Path().glob(pattern)) if p.stem not in _AFTER_THE_LANES]
    digest = hashlib.sha256(str(data.resolve()).encode())
    for path in [*sources, *_scorer_files(scorers)]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _scorer_files(scorers: Path) -> Iterable[Path]:
    return [scorers / f"fold{fold}.npz" for fold in range(FOLDS)]
