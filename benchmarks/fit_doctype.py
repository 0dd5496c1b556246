"""Fits the model that chooses the schema for `auto`. Knows labelled documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from backends.ocr.doctype import describe_document
from benchmarks.corpus import Labelled


def fit_document_types(documents: Sequence[Labelled], folds: np.ndarray) -> dict[str, object]:
    """Return names and weights (types, columns + intercept) for the scorer's details; print accuracy out of fold."""
    rows = np.stack([describe_document(d.layouts[0]) for d in documents])
    kinds = np.array([d.schema for d in documents])
    weights = np.array([1.0 if d.real else 0.3 for d in documents])
    guessed = np.empty_like(kinds)
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        guessed[test] = _fit(rows[train], kinds[train], weights[train]).predict(rows[test])
    for source in dict.fromkeys(d.source for d in documents):
        there = np.array([d.source == source for d in documents])
        print(
            f"  document type {source:12} n {there.sum():4}  right {(guessed == kinds)[there].mean():.3f}", flush=True
        )
    model = _fit(rows, kinds, weights)
    table = np.hstack([model.coef_, model.intercept_[:, None]])
    return {"document_types": list(map(str, model.classes_)), "document_type_weights": np.round(table, 4).tolist()}


def _fit(rows: np.ndarray, kinds: np.ndarray, weights: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=3000).fit(rows, kinds, sample_weight=weights)
