"""What the deep lane is worth on damaged pages: receipts blurred, turned, faded, noisy, shadowed or shrunk.

    python -m benchmarks.degraded DATA --processes 2

One damaged copy of each receipt is read by both lanes, with the scorer that has not seen the receipt. Prints accuracy
by kind of damage and what escalating by risk buys at several shares of fields; writes benchmarks/results/degraded.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
from rich.console import Console
from rich.progress import track
from rich.table import Table

from backends.base import ExtractionRequest
from backends.ocr.backend import OcrLane
from backends.ocr.reading import OcrReader
from benchmarks.fit_confidence import cross_fitted
from benchmarks.lane_metrics import SHARES, accuracy, at_budget, cost_quality
from benchmarks.lane_outcomes import Outcome, field_outcomes, with_policies
from benchmarks.lane_readings import Reading, fold_by_group, lane_readings, load_scorer
from benchmarks.score_samples import OnePicture, Sample, document_of, picture_of, samples
from benchmarks.train_scorer import FOLDS, SCORERS
from router.policy import load_policy
from router.schema import builtin
from router.score import score_document

OUTPUT = Path("benchmarks/results/degraded.json")
SCHEMA = "receipt"
_lanes: dict[str, tuple[int, OcrLane, OcrLane]] = {}
"""For each group of documents its fold and both lanes."""


def _start(data: Path) -> None:
    cv2.setNumThreads(1)
    folds, reader = fold_by_group(data), OcrReader()
    scorers = [load_scorer(SCORERS / f"fold{fold}.npz") for fold in range(FOLDS)]
    pairs = [
        (OcrLane("ocr-fast", False, reader, lambda s=s: s), OcrLane("ocr-deep", True, reader, lambda s=s: s))  # type: ignore[misc]
        for s in scorers
    ]
    _lanes.update({group: (fold, *pairs[fold]) for group, fold in folds.items()})


def _read(sample: Sample) -> Reading:
    rgb = picture_of(sample)
    document, pages, schema = document_of(rgb, sample.key), OnePicture(rgb), builtin(SCHEMA)
    fold, fast, deep = _lanes[sample.group]
    keys = json.loads(sample.keys.read_text(encoding="utf-8"))
    return Reading(
        name=sample.key,
        filename=sample.image.name,
        source=sample.kind,
        schema_name=SCHEMA,
        fold=fold,
        key={f.name: keys[f.name] for f in schema.fields if isinstance(keys.get(f.name), str) and f.kind != "table"},
        document=document,
        score=score_document(document, pages),
        fast=fast.extract(ExtractionRequest(document, pages, schema, "fast")),
        deep=deep.extract(ExtractionRequest(document, pages, schema, "deep")),
    )


def outcomes_of(data: Path, processes: int, limit: int | None) -> list[Outcome]:
    """Return the outcomes of all damaged copies, merged by fusion weights that have not seen their receipts."""
    todo = [s for s in samples(data, copies=1, limit=limit) if s.corpus == "receipts" and s.severity > 0]
    with ProcessPoolExecutor(processes, initializer=_start, initargs=(data,)) as pool:
        readings = list(track(pool.map(_read, todo), total=len(todo), description="damaged copies"))
    weights = cross_fitted(lane_readings(data))
    outcomes = field_outcomes(readings, weights)
    return with_policies(readings, outcomes, weights, [load_policy()] * FOLDS)[0]


def show(outcomes: Sequence[Outcome], console: Console) -> dict[str, object]:
    """Print the tables and return their numbers."""
    by_kind = {
        k: accuracy([o for o in outcomes if o.source == k])["macro"] for k in sorted({o.source for o in outcomes})
    }
    by_kind["all"] = accuracy(outcomes)["macro"]
    table = Table("damage", "fast", "deep", "merged", "auto", title="Macro accuracy of damaged receipts")
    for kind, row in by_kind.items():
        table.add_row(kind, *(f"{row[v]:.3f}" for v in ("fast", "deep", "merged", "auto")))
    console.print(table)
    lines = cost_quality(outcomes)
    table = Table("rule", *(f"{s:.0%}" for s in SHARES), title="Accuracy against the share of fields sent deep")
    for name in ("random", "confidence", "expected gain", "oracle"):
        table.add_row(name, *(f"{q:.3f}" for q in lines[name]["quality"]))
    console.print(table)
    return {"accuracy": by_kind, "cost_quality": lines, "at_budget": at_budget(outcomes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--limit", type=int, help="receipts")
    parser.add_argument("--json", type=Path, default=OUTPUT)
    options = parser.parse_args()
    numbers = show(outcomes_of(options.data, options.processes, options.limit), Console(width=120))
    rounded = json.loads(json.dumps(numbers, default=float), parse_float=lambda x: round(float(x), 4))
    options.json.write_text(json.dumps(rounded, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
