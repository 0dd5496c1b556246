"""The learned candidate scorer: which candidate is a field's value, and how probable that is. Knows weights, no pixels.

Two steps. Boosted trees give every pooled candidate its log-odds. A logistic model turns the best one's log-odds, its
lead over the next other value and how well it was read into the probability that it is right; that IS the field's
confidence. Both are fitted by `benchmarks/train_scorer.py`, the second on predictions for documents the first had not
seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from backends.ocr.pool import VOTE_COLUMNS, Pool, Pooled, generic_columns, spelling
from backends.ocr.trees import Trees
from router.confidence import sigmoid
from router.schema import FieldSpec

SCORER_FILE = "scorer_v1.npz"
CONFIDENCE_COLUMNS = (
    "logit",
    "lead",
    "lowest",
    "mean",
    "unknown_share",
    "repaired",
    "readings",
    "log_candidates",
    "certain_source",
)
_LIMIT = 8.0


@dataclass(frozen=True)
class FieldModel:
    """Trees and the logistic model of one field in one tier; `confidence`: a weight a column, the intercept last."""

    trees: Trees
    confidence: np.ndarray
    threshold: float = 0.3


@dataclass(frozen=True)
class Ranked:
    """A candidate with its log-odds among the field's candidates."""

    entry: Pooled
    index: int
    logit: float


@dataclass(frozen=True)
class Scored:
    """A field's candidates, best first (distinct values), and the probability that the best one is right."""

    ranked: tuple[Ranked, ...]
    confidence: float
    signals: dict[str, float]


@dataclass(frozen=True)
class Scorer:
    """All field models, by "tier/field" ("tier/generic:kind" for fields without), and the vocabulary for repairs."""

    models: dict[str, FieldModel]
    vocabulary: frozenset[str]
    version: str
    details: dict[str, Any] = field(default_factory=dict)

    def model(self, tier: str, spec: FieldSpec, kind: str) -> tuple[FieldModel, bool]:
        """Return a field's model and whether it is the generic one of its kind."""
        own = self.models.get(f"{tier}/{spec.name}")
        return (own, False) if own is not None else (self.models[f"{tier}/generic:{kind}"], True)

    def score(self, pool: Pool, matrix: np.ndarray, model: FieldModel, generic: bool = False) -> Scored | None:
        """Return the candidates ranked and the best one's probability; None when there is no candidate."""
        if not pool.entries:
            return None
        used = matrix[:, generic_columns(pool.kind)] if generic else matrix
        return rank(pool, matrix, model.trees.logits(used), model.confidence)


def rank(pool: Pool, matrix: np.ndarray, logits: np.ndarray, weights: np.ndarray) -> Scored:
    """Return distinct values by their best log-odds, and the confidence of the first."""
    order = np.argsort(-logits, kind="stable")
    seen: set[str] = set()
    ranked = []
    for i in order:
        value = spelling(pool.entries[i].candidate.value) or pool.entries[i].candidate.value
        if value not in seen:
            seen.add(value)
            ranked.append(Ranked(pool.entries[i], int(i), float(logits[i])))
    signals = confidence_signals(pool, matrix, ranked)
    row = np.array([signals[name] for name in CONFIDENCE_COLUMNS])
    return Scored(tuple(ranked), sigmoid(float(row @ weights[:-1] + weights[-1])), signals)


def confidence_signals(pool: Pool, matrix: np.ndarray, ranked: list[Ranked]) -> dict[str, float]:
    """Return the columns of the confidence model for the best candidate."""
    best = ranked[0]
    lead = best.logit - (ranked[1].logit if len(ranked) > 1 else -_LIMIT)
    layout = pool.readings[best.entry.reading]
    read = [p for s, a, b in best.entry.candidate.spans for p in layout.segments[s].certainties(a, b)]
    votes = [a or b for a, b in zip(best.entry.read_by, best.entry.repaired_from, strict=True)]
    return {
        "logit": float(np.clip(best.logit, -_LIMIT, _LIMIT)),
        "lead": float(np.clip(lead, 0, _LIMIT)),
        "lowest": float(np.log(1.02 - min(read, default=0.0))),
        "mean": float(np.log(1.01 - (sum(read) / len(read) if read else 0.0))),
        "unknown_share": float(matrix[best.index, -_from_end("unknown_share")]),
        "repaired": float(not any(best.entry.read_by)),
        "readings": sum(votes) / len(pool.readings),
        "log_candidates": float(np.log(len(ranked))),
        "certain_source": float(min(read, default=0.0) >= 1.0),
    }


def _from_end(column: str) -> int:
    return len(VOTE_COLUMNS) - VOTE_COLUMNS.index(column)


def save_scorer(scorer: Scorer, path: Path) -> None:
    """Write a scorer as one compressed NumPy file without pickled objects."""
    arrays: dict[str, np.ndarray] = {}
    thresholds = {}
    for name, model in scorer.models.items():
        arrays |= model.trees.arrays(name)
        arrays[f"{name}/confidence"] = model.confidence
        thresholds[name] = model.threshold
    meta = {"version": scorer.version, "thresholds": thresholds, "details": scorer.details}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    arrays["vocabulary"] = np.frombuffer(" ".join(sorted(scorer.vocabulary)).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def parse_scorer(arrays: Mapping[str, np.ndarray]) -> Scorer:
    """Return the scorer held in the arrays of a file."""
    meta = json.loads(arrays["meta"].tobytes())
    words = arrays["vocabulary"].tobytes().decode().split()
    models = {
        name: FieldModel(Trees.from_arrays(arrays, name), arrays[f"{name}/confidence"], threshold)
        for name, threshold in meta["thresholds"].items()
    }
    return Scorer(models, frozenset(words), meta["version"], meta["details"])


@cache
def default_scorer() -> Scorer:
    """Return the scorer shipped with the package."""
    with (files("backends.ocr.data") / SCORER_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return parse_scorer(dict(arrays))
