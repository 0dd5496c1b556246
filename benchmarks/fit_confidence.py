"""Fits the fusion of confidence signals on what the lanes read and writes router/data/confidence_v1.json.

    python -m benchmarks.fit_confidence DATA --write

Every reading comes from a scorer that has not seen its document. Numbers printed are out of fold: weights fitted on
five folds, used on the sixth; what is written is fitted on all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lane_readings import Reading, lane_readings
from benchmarks.plain_weights import plain_weights
from benchmarks.train_scorer import FOLDS
from router.calibrate import fit_fusion
from router.choice import Choice, Judge, same_reading
from router.confidence import FusionWeights, Signals, fuse, reading_signals
from router.evaluate import auroc, brier, coverage_at_risk, ece_equal_mass, values_equal
from router.merge import merge_extractions
from router.types import FieldValue
from router.validators import field_checks

OUTPUT = Path("router/data/confidence_v1.json")
VERSION = "confidence_v1"
WAYS = ("fast", "deep", "merged")
MARGINS = tuple(m / 20 for m in range(-12, 7))
_ROUNDS = 2
_L2 = 15.0


@dataclass(frozen=True)
class Labelled:
    """The signals of one reading and whether it is right.

    `way`: a fast, deep or merged result, or one side of a disagreement before anything is chosen.
    """

    fold: int
    source: str
    way: str
    signals: Signals
    right: bool


def labelled_signals(readings: Sequence[Reading], weights: FusionWeights) -> list[Labelled]:
    """Return the signals of every keyed result, and of both sides of each disagreement as the merge weighs them."""
    return [s for r in readings for s in (*_results(r, weights), *_sides(r, weights))]


def _results(reading: Reading, weights: FusionWeights, ways: Sequence[str] = WAYS) -> Iterator[Labelled]:
    lanes = {"fast": (reading.fast, None), "deep": (None, reading.deep), "merged": (reading.fast, reading.deep)}
    for way in ways:
        fast, deep = lanes[way]
        merged = merge_extractions(fast, deep, reading.asked(), weights, reading.document.pages)
        for field in reading.keyed():
            chosen = merged[field].chosen
            if chosen.provenance is not None:
                yield _labelled(reading, field, way, chosen.provenance.signals, chosen)


def _sides(reading: Reading, weights: FusionWeights) -> Iterator[Labelled]:
    judge = Judge(weights, reading.document.pages, None)
    for field in reading.keyed():
        spec, fast, deep = reading.asked().field(field), reading.fast.fields[field], reading.deep.fields[field]
        if not same_reading(spec, fast, deep):
            choice = Choice(spec, fast, deep, fast, False, "agree")
            for value, other in ((fast, deep), (deep, fast)):
                score = judge.locate(value, choice.spec)[0]
                checks, required = field_checks(value, spec), spec.required
                signals = reading_signals(value, other, False, checks, score, required=required)
                yield _labelled(reading, field, "side", signals, value)


def _labelled(reading: Reading, field: str, way: str, signals: Signals, value: FieldValue) -> Labelled:
    got = value.value if value.present else None
    right = values_equal(field, reading.asked().field(field).kind, got, reading.key[field])
    return Labelled(reading.fold, reading.source, way, signals, right)


def fit_weights(readings: Sequence[Reading], origin: str = "") -> FusionWeights:
    """Return weights fitted on the readings; as weights change what is chosen, it is done twice."""
    start = weights = plain_weights()
    for _ in range(_ROUNDS):
        # keys name only fields that are there, so they cannot tell how often an optional field is truly absent
        samples = [s for s in labelled_signals(readings, weights) if s.signals["missing"] or not s.signals["absent"]]
        signals = [{**s.signals, "absent": 0.0} for s in samples]
        weights = fit_fusion(signals, [s.right for s in samples], start, VERSION, _L2, origin)
    return weights.model_copy(update={"deep_margin": best_margin(readings, weights)})


def best_margin(readings: Sequence[Reading], weights: FusionWeights) -> float:
    """Return the smallest margin with which the merge chooses most right values, up to one.

    One value more or less is chance, and the deep lane has seen all that the fast one has.
    """
    right = [
        sum(s.right for r in readings for s in _results(r, weights.model_copy(update={"deep_margin": m}), ("merged",)))
        for m in MARGINS
    ]
    return next(m for m, n in zip(MARGINS, right, strict=True) if n >= max(right) - 1)


def cross_fitted(readings: Sequence[Reading]) -> list[FusionWeights]:
    """Return for each fold the weights fitted on the other ones."""
    return [fit_weights([r for r in readings if r.fold != fold]) for fold in range(FOLDS)]


def report(readings: Sequence[Reading], weights: Sequence[FusionWeights]) -> None:
    samples = [s for r in readings for s in labelled_signals([r], weights[r.fold])]
    for source in ("receipts", "invoices", "pdfs"):
        for way in ("fast", "deep", "merged", "side"):
            some = [s for s in samples if s.source == source and s.way == way]
            if not some:
                continue
            p, good = np.array([fuse(s.signals, weights[s.fold]) for s in some]), np.array([s.right for s in some])
            numbers = {
                "right": good.mean(), "AUROC": auroc(p, good), "ECE": ece_equal_mass(p, good), "Brier": brier(p, good),
                "coverage@2%": coverage_at_risk(p, good, 0.02),
            }  # fmt: skip
            print(f"{source:9} {way:7} n {len(some):4}", "  ".join(f"{k} {v:.3f}" for k, v in numbers.items()))


def rounded(weights: FusionWeights) -> FusionWeights:
    features = {
        name: f.model_copy(update={"weight": round(f.weight, 4), "missing": round(f.missing, 4)})
        for name, f in weights.features.items()
    }
    return weights.model_copy(update={"features": features, "intercept": round(weights.intercept, 4)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    options = parser.parse_args()
    readings = lane_readings(options.data)
    report(readings, cross_fitted(readings))
    weights = rounded(fit_weights(readings, f"{len(readings)} documents, read by scorers that had not seen them"))
    print("\n".join(f"{n:14} {f.weight:7.3f} {f.missing:7.3f}" for n, f in weights.features.items()))
    if options.write:
        OUTPUT.write_text(weights.model_dump_json(indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
