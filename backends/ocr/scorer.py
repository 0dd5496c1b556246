"""The learned candidate scorer: which candidate is a field's value, and how probable that is. Knows weights, no pixels.

Two steps. Boosted trees give every candidate its log-odds. A logistic model turns the best one's log-odds, its lead
over other values, how well it was read and how far several readings agree into the probability that it is right: the
field's confidence. Both are fitted by `benchmarks/train_scorer.py`, the second on documents
that the first had not seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from backends.ocr.decision import CONFIDENCE_COLUMNS, Rated, Value, evidence, rank
from backends.ocr.pool import Pool, generic_columns
from backends.ocr.trees import Trees
from router.confidence import sigmoid
from router.schema import FieldSpec
from router.types import Tier

SCORER_FILE = "scorer_v1.npz"


@dataclass(frozen=True)
class FieldModel:
    """Trees of one field, and each tier's logistic weights of the confidence (a column each, intercept last)."""

    trees: Trees
    confidence: dict[Tier, np.ndarray]
    generic: bool = False

    def rate(self, pool: Pool, matrix: np.ndarray) -> Rated:
        """Return the log-odds of every candidate; `matrix` has the columns of `pool_columns(pool.kind)`."""
        used = matrix[:, generic_columns(pool.kind)] if self.generic else matrix
        return Rated(pool, self.trees.logits(used))


@dataclass(frozen=True)
class Scored:
    """A field's values, best first, the probability that the best one is right, and why."""

    ranked: tuple[Value, ...]
    confidence: float
    signals: dict[str, float]


@dataclass(frozen=True)
class Scorer:
    """All field models by name ("generic:kind" for fields without one of their own), and the vocabulary for repairs."""

    models: dict[str, FieldModel]
    vocabulary: frozenset[str]
    version: str
    details: dict[str, Any] = field(default_factory=dict)

    def model(self, spec: FieldSpec, kind: str) -> FieldModel:
        """Return a field's model, or the generic one of its kind."""
        return self.models.get(spec.name) or self.models[f"generic:{kind}"]


def decide(model: FieldModel, readings: Sequence[Rated], tier: Tier) -> Scored | None:
    """Return the values ranked and the best one's probability; None when there is no candidate."""
    ranked = rank(readings)
    if not ranked:
        return None
    signals = evidence(ranked, readings)
    row = np.array([signals[name] for name in CONFIDENCE_COLUMNS])
    weights = model.confidence[tier]
    return Scored(tuple(ranked), sigmoid(float(row @ weights[:-1] + weights[-1])), signals)


def save_scorer(scorer: Scorer, path: Path) -> None:
    """Write a scorer as one compressed NumPy file without pickled objects."""
    arrays: dict[str, np.ndarray] = {}
    for name, model in scorer.models.items():
        arrays |= model.trees.arrays(name)
        arrays |= {f"{name}/confidence/{tier}": weights for tier, weights in model.confidence.items()}
    meta = {"version": scorer.version, "fields": list(scorer.models), "details": scorer.details}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    arrays["vocabulary"] = np.frombuffer(" ".join(sorted(scorer.vocabulary)).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def parse_scorer(arrays: Mapping[str, np.ndarray]) -> Scorer:
    """Return the scorer held in the arrays of a file."""
    meta = json.loads(arrays["meta"].tobytes())
    words = arrays["vocabulary"].tobytes().decode().split()
    tiers: tuple[Tier, ...] = ("fast", "deep")
    models = {
        name: FieldModel(
            Trees.from_arrays(arrays, name),
            {tier: arrays[f"{name}/confidence/{tier}"] for tier in tiers},
            name.startswith("generic:"),
        )
        for name in meta["fields"]
    }
    return Scorer(models, frozenset(words), meta["version"], meta["details"])


@cache
def default_scorer() -> Scorer:
    """Return the scorer shipped with the package."""
    with (files("backends.ocr.data") / SCORER_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return parse_scorer(dict(arrays))
