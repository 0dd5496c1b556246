"""Fits the confidence of a tier's fields on what unseen trees chose. Knows outcomes and weights, no files.

All fields share the weights of the columns, and each has an intercept of its own: of a single field too few choices are
wrong to tell what makes them so, while a doubtful letter or a rival close behind mean much the same for every field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from backends.ocr.decision import CONFIDENCE_COLUMNS, evidence, rank
from backends.ocr.scorer import FieldModel
from benchmarks.fit_trees import Example
from router.evaluate import values_equal
from router.schema import AUTO, builtin
from router.types import Tier

_WEIGHTS = {"receipts": 1.0, "invoices": 1.0, "pdfs": 1.0}
_DRAWN_WEIGHT = 0.1
"""What is read from a picture decides how a reading's certainty counts; the rest keeps the other fields in range."""
_INVERSE_PENALTY = 0.01
_INTERCEPT_SCALE = 2.0


@dataclass(frozen=True)
class Outcome:
    """What unseen trees chose for one example: the confidence columns, and whether the choice is right."""

    document: int
    field: str
    columns: np.ndarray
    right: bool
    source: str


def outcome(example: Example, model: FieldModel, tier: Tier, name: str) -> Outcome | None:
    """Return the outcome of one example under a model's name; None without a candidate in that tier's readings."""
    readings = example.deep if tier == "deep" else (example.fast,)
    rated = [model.rate(r.pool, r.matrix) for r in readings]
    ranked = rank(rated)
    if not ranked:
        return None
    signals = evidence(ranked, rated)
    spec = builtin(AUTO).field(example.field)
    right = values_equal(spec.name, spec.kind, ranked[0].entry.candidate.value, example.want)
    return Outcome(example.document, name, np.array([signals[n] for n in CONFIDENCE_COLUMNS]), right, example.source)


def fit_confidences(outcomes: Sequence[Outcome], fields: Iterable[str]) -> dict[str, np.ndarray]:
    """Return each field's logistic weights (a column each, intercept last); one without outcomes gets the mean's."""
    rows = np.stack([o.columns for o in outcomes])
    weights = np.array([_WEIGHTS.get(o.source, _DRAWN_WEIGHT) for o in outcomes])
    mean = np.average(rows, axis=0, weights=weights)
    spread = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights)) + 1e-3
    known = sorted({o.field for o in outcomes})
    own = np.array([[o.field == name for name in known] for o in outcomes], float) * _INTERCEPT_SCALE
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=3000)
    model.fit(np.column_stack([rows / spread, own]), [o.right for o in outcomes], sample_weight=weights)
    shared, offsets = np.split(model.coef_[0], [len(spread)])
    offset = dict(zip(known, offsets * _INTERCEPT_SCALE, strict=True))
    return {name: np.append(shared / spread, model.intercept_[0] + offset.get(name, 0.0)) for name in fields}
