"""Pages with keys, clean and degraded, read by the fast lane: a page's signals and which of its fields came out wrong.

Every measurement is kept in a JSON-lines file, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from backends.base import ExtractionRequest, Lane
from backends.ocr.backend import OcrLane
from benchmarks.lane_readings import fold_by_group, load_scorer
from benchmarks.train_scorer import FOLDS, SCORERS
from router.evaluate import values_equal
from router.features import page_features
from router.schema import Schema, builtin
from router.types import Document, Page, Rgb

ORIGINAL = "original"
KINDS = ("blur", "skew", "noise", "shadow", "low_resolution", "jpeg", "fade")
SINGLE_COPIES = 2
"""Copies of a page with one damage; further ones have two at once, as a photo taken in a hurry does."""
CORPORA = {"receipts": "receipt", "invoices": "invoice"}


@dataclass(frozen=True)
class Sample:
    """A page to measure: a picture with its keys, and how it is degraded.

    `kind` may name two damages ("blur+noise"); `severity` in [0,1], 0 for the original.
    """

    corpus: str
    image: Path
    keys: Path
    kind: str = ORIGINAL
    severity: float = 0.0
    seed: int = 0

    @property
    def document(self) -> str:
        """The name of the original, which all its copies share."""
        return f"{self.corpus}/{self.image.stem}"

    @property
    def group(self) -> str:
        """The documents that are left out together when a scorer is fitted: an invoice's layout, else the document."""
        return f"{self.corpus}/{self.image.stem.split('_')[0]}" if self.corpus == "invoices" else self.document

    @property
    def key(self) -> str:
        """The name of this one measurement."""
        return f"{self.document}|{self.kind}|{self.severity:.3f}|{self.seed}"


@dataclass(frozen=True)
class Measurement:
    """Signals of a page in their units, which fields were wrong, and what scoring and reading took."""

    key: str
    document: str
    corpus: str
    kind: str
    severity: float
    wrong: dict[str, bool]
    features: dict[str, float] = field(default_factory=dict)
    score_ms: float = 0.0
    read_ms: float = 0.0


class OnePicture:
    """A page source of one picture."""

    def __init__(self, rgb: Rgb) -> None:
        self._rgb = rgb

    def image(self, number: int) -> Rgb:
        """Return the picture."""
        return self._rgb


def samples(data: Path, copies: int, limit: int | None = None, seed: int = 0) -> list[Sample]:
    """Return every page with keys under `data`, each followed by degraded copies; kinds take turns."""
    found: list[Sample] = []
    for corpus in CORPORA:
        images = sorted((data / corpus / "images").glob("*"))
        pairs = [(image, data / corpus / "keys" / f"{image.stem}.json") for image in images]
        keyed = [pair for pair in pairs if pair[1].exists()]
        for number, (image, keys) in enumerate(keyed[:limit]):
            found.append(Sample(corpus, image, keys))
            draw = random.Random(f"{seed}/{corpus}/{image.stem}")
            for copy in range(copies):
                kind = KINDS[(number + copy * 3) % len(KINDS)]
                if copy >= SINGLE_COPIES:
                    kind += f"+{KINDS[(number + copy * 3 + 2) % len(KINDS)]}"
                found.append(
                    Sample(corpus, image, keys, kind, round(draw.uniform(0.15, 1.0), 3), draw.randrange(2**31))
                )
    return found


def measure_all(todo: list[Sample], cache: Path, data: Path, processes: int, again: bool = False) -> list[Measurement]:
    """Return the measurement of every sample, from the cache where it has one; `again` computes the signals anew.

    Every page is read by the fast lane with the scorer that has not seen its document: a lane that remembers the page
    would make no mistakes to predict.
    """
    known = {m.key: m for m in _cached(cache)}
    missing = [s for s in todo if s.key not in known]
    stale = [s for s in todo if s.key in known] if again else []
    cache.parent.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress, cache.open("a") as out:
        pool = ProcessPoolExecutor(processes, initializer=_start, initargs=(data,))
        with pool:
            results = pool.map(_measure, missing, chunksize=1)
            for measurement in progress.track(results, total=len(missing), description="reading"):
                known[measurement.key] = measurement
                out.write(json.dumps(asdict(measurement)) + "\n")
                out.flush()
        for sample in progress.track(stale, description="signals") if stale else ():
            signals, score_ms = _signals(picture_of(sample))
            known[sample.key] = Measurement(**{**asdict(known[sample.key]), "features": signals, "score_ms": score_ms})
            out.write(json.dumps(asdict(known[sample.key])) + "\n")
    return [known[s.key] for s in todo]


_lanes: dict[str, Lane] = {}
"""The fast lane for each group of documents."""


def _start(data: Path) -> None:
    cv2.setNumThreads(1)
    scorers = [load_scorer(SCORERS / f"fold{fold}.npz") for fold in range(FOLDS)]
    lanes = [OcrLane("ocr-fast", False, scorer=lambda s=s: s) for s in scorers]  # type: ignore[misc]
    _lanes.update({group: lanes[fold] for group, fold in fold_by_group(data).items()})


def _measure(sample: Sample) -> Measurement:
    rgb = picture_of(sample)
    keys = json.loads(sample.keys.read_text(encoding="utf-8"))
    signals, score_ms = _signals(rgb)
    started = time.perf_counter()
    wrong = _wrong_fields(rgb, sample, keys, builtin(CORPORA[sample.corpus]))
    read_ms = (time.perf_counter() - started) * 1000.0
    return Measurement(
        sample.key, sample.document, sample.corpus, sample.kind, sample.severity, wrong, signals, score_ms, read_ms
    )


def _wrong_fields(rgb: Rgb, sample: Sample, keys: dict[str, object], schema: Schema) -> dict[str, bool]:
    document = document_of(rgb, sample.key)
    read = _lanes[sample.group].extract(ExtractionRequest(document, OnePicture(rgb), schema, "fast")).fields
    wrong = {}
    for spec in schema.fields:
        want = keys.get(spec.name)
        if not isinstance(want, str) or spec.kind == "table":
            continue
        got = read[spec.name].value if spec.name in read and read[spec.name].present else None
        wrong[spec.name] = not values_equal(spec.name, spec.kind, got, want)
    return wrong


def document_of(rgb: Rgb, uri: str) -> Document:
    """Return a document of one picture."""
    digest = hashlib.sha256(rgb.tobytes()).hexdigest()
    return Document(id=digest, uri=uri, media_type="image/png", size_bytes=max(1, rgb.nbytes), pages=(_page(rgb),))


def picture_of(sample: Sample) -> Rgb:
    """Return the sample's picture, damaged as it says."""
    with Image.open(sample.image) as image:
        upright = ImageOps.exif_transpose(image) or image
        rgb = np.asarray(upright.convert("RGB"))
    if sample.kind == ORIGINAL:
        return rgb
    from benchmarks.degrade import degrade

    for kind in sample.kind.split("+"):
        rgb = np.ascontiguousarray(degrade(rgb, kind, sample.severity, sample.seed))
    return rgb


def _signals(rgb: Rgb) -> tuple[dict[str, float], float]:
    started = time.perf_counter()
    signals = page_features(rgb, _page(rgb))
    return signals, (time.perf_counter() - started) * 1000.0


def _page(rgb: Rgb) -> Page:
    return Page(number=1, width_px=rgb.shape[1], height_px=rgb.shape[0])


def _cached(cache: Path) -> Iterator[Measurement]:
    if not cache.exists():
        return
    for line in cache.read_text(encoding="utf-8").splitlines():
        try:
            yield Measurement(**json.loads(line))
        except (ValueError, TypeError):  # the last line of a run that was killed
            continue
