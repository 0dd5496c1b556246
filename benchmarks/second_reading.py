"""What a second reading costs and what it tells, on real documents with keys.

    python -m benchmarks.second_reading DATA

Bands: where right values stand on a page. Inventions: the key's values against values of other documents, looked for in
the words of OCR. Confidence: the fast lane's values, whose probability is its own, looked for in the words of another
recogniser; a generating model that invents has more to gain than this lane, which reads and never invents.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backends.ocr.processes import read_words, words_of
from benchmarks.corpus import Labelled, real_documents
from benchmarks.lane_readings import Reading, lane_readings
from router.calibrate import fit_logistic
from router.documents import read_file
from router.evaluate import auroc, values_equal
from router.grounding import ground
from router.schema import FieldSpec, builtin
from router.types import FieldValue, Word

FOUND_FROM = 0.8
EDGE = 2.0
"""Percentiles of places outside of a band, on either side."""
TIMED = 6


@dataclass(frozen=True)
class Looked:
    """One value looked for: its own probability (None for a key's), the grounding score, whether it is right."""

    field: str
    fold: int
    own: float | None
    score: float
    right: bool


def words(labelled: Labelled, recogniser: int) -> dict[int, tuple[Word, ...]]:
    """Return a document's words by page."""
    found: dict[int, list[Word]] = defaultdict(list)
    for page in labelled.layouts[recogniser].pages:
        found[page.number] += [Word(text=t, polygon=p, confidence=c) for t, p, c in words_of(page.segments)]
    return {number: tuple(of_page) for number, of_page in found.items()}


def best_score(texts: Sequence[str | None], pages: dict[int, tuple[Word, ...]], spec: FieldSpec) -> float:
    """Return the grounding score of a value, 0 where it is nowhere."""
    found = (ground(text, of_page, n, spec.kind) for text in texts if text for n, of_page in pages.items())
    return max((place.score for place in found if place), default=0.0)


def invented(documents: Sequence[Labelled]) -> Iterator[Looked]:
    """Look for every key's value, and for the value that another document of the source has there."""
    for number, labelled in enumerate(documents):
        others = [d for d in documents if d.source == labelled.source]
        other = others[(others.index(labelled) + 7) % len(others)]
        pages = words(labelled, 0)
        for spec in builtin(labelled.schema).fields:
            right, wrong = labelled.key.get(spec.name), other.key.get(spec.name)
            if spec.kind == "table" or spec.name == "currency" or not right or not wrong:
                continue
            yield Looked(spec.name, number % 5, None, best_score([right], pages, spec), True)
            if not values_equal(spec.name, spec.kind, right, wrong):
                yield Looked(spec.name, number % 5, None, best_score([wrong], pages, spec), False)


def lane_values(readings: Sequence[Reading], documents: Sequence[Labelled]) -> Iterator[tuple[Looked, FieldValue]]:
    """Look for every value of the fast lane that has a key among the second recogniser's words."""
    by_name = {(d.source, d.name): d for d in documents}
    for reading in readings:
        pages = words(by_name[reading.source, reading.name], 1)
        for name in reading.keyed():
            value, spec = reading.fast.fields.get(name), builtin(reading.schema_name).field(name)
            if value is None or not value.present or value.polygon is None or name == "currency":
                continue
            right = values_equal(name, spec.kind, value.value, reading.key[name])
            score = best_score([value.raw, value.value], pages, spec)
            yield Looked(name, reading.fold, value.confidence, score, right), value


def fused_auroc(looked: Sequence[Looked]) -> tuple[float, float]:
    """Return AUROC of the lane's probability alone and with grounding, fitted without the fold that is judged."""
    own = np.array([logit(entry.own or 0.5) for entry in looked])
    score = np.array([entry.score for entry in looked])
    right, fold = np.array([entry.right for entry in looked]), np.array([entry.fold for entry in looked])
    columns, fused = np.stack([own, score], axis=1), np.zeros(len(looked))
    for part in sorted(set(fold)):
        intercept, weights = fit_logistic(columns[fold != part], right[fold != part], 1.0, [1.0, 0.0])
        fused[fold == part] = intercept + columns[fold == part] @ np.asarray(weights)
    return auroc(own, right), auroc(fused, right)


def logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return float(np.log(p / (1 - p)))


def bands(pairs: Sequence[tuple[Looked, FieldValue]], documents: Sequence[Labelled]) -> list[str]:
    """Return the lines of the table of bands: where right values stand, and the share of all text lines there."""
    centres = np.array([np.mean(s.polygon[1::2]) for d in documents for p in d.layouts[0].pages for s in p.segments])
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for looked, value in pairs:
        if looked.right and value.polygon:
            places[looked.field].append((min(value.polygon[1::2]), max(value.polygon[1::2])))
    lines = ["| field | values | from | to | share of the page's lines |", "|---|---|---|---|---|"]
    for field, spans in sorted(places.items()):
        top = float(np.percentile([a for a, _ in spans], EDGE))
        bottom = float(np.percentile([b for _, b in spans], 100 - EDGE))
        inside = float(np.mean((centres >= top) & (centres <= bottom)))
        lines.append(f"| {field} | {len(spans)} | {top:.2f} | {bottom:.2f} | {inside:.0%} |")
    return lines


def seconds_a_page(documents: Sequence[Labelled], band: tuple[float, float]) -> float:
    """Return the mean processor time to read a band of a page."""
    times = []
    for labelled in documents[:: max(1, len(documents) // TIMED)][:TIMED]:
        assert labelled.path is not None
        with read_file(labelled.path) as opened:
            picture = opened.image(1)
        top, bottom = (round(edge * picture.shape[0]) for edge in band)
        started = time.process_time()
        read_words(np.ascontiguousarray(picture[top:bottom]))
        times.append(time.process_time() - started)
    return float(np.mean(times[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--no-times", action="store_true", help="leave out the timing")
    options = parser.parse_args()
    documents = [d for d in real_documents(options.data) if d.source != "pdfs"]
    readings = [r for r in lane_readings(options.data) if r.source != "pdfs"]
    pairs = list(lane_values(readings, documents))
    print("\n".join(bands(pairs, documents)))
    print("\n| field | right values found | invented values found | AUROC |\n|---|---|---|---|")
    tried = list(invented(documents))
    for field in [*sorted({entry.field for entry in tried}), "all"]:
        of_field = [entry for entry in tried if field in ("all", entry.field)]
        shares = [np.mean([e.score >= FOUND_FROM for e in of_field if e.right is right]) for right in (True, False)]
        area = auroc([e.score for e in of_field], [e.right for e in of_field])
        print(f"| {field} | {shares[0]:.1%} | {shares[1]:.1%} | {area:.3f} |")
    alone, fused = fused_auroc([looked for looked, _ in pairs])
    print(f"\nAUROC of {len(pairs)} values of the fast lane: {alone:.3f} alone, {fused:.3f} with the second reading")
    if not options.no_times:
        for name, band in {"whole page": (0.0, 1.0), "upper 40 %": (0.0, 0.4), "lower 60 %": (0.4, 1.0)}.items():
            print(f"{name}: {seconds_a_page(documents, band):.2f} s of a core")


if __name__ == "__main__":
    main()
