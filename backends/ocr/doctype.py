"""Chooses the schema for `auto`: which kind of document this is. Knows words and shape, no field values."""

from __future__ import annotations

import numpy as np

from backends.ocr.concepts import concept_names
from backends.ocr.features import document_concepts
from backends.ocr.layout import DocumentLayout
from backends.ocr.scorer import Scorer

_SHAPE = ("height", "text_height", "rows_a_page", "width_used", "pages", "amounts_a_row")


def describe_document(layout: DocumentLayout) -> np.ndarray:
    """Return (concepts + shape,) float64: which concepts the document names, and its form in page widths."""
    named = document_concepts(layout)
    first = layout.pages[0]
    boxes = np.array([s.box for s in first.segments]) if first.segments else np.zeros((1, 4))
    digits = sum(any(c.isdigit() for c in s.text) for s in layout.segments) / max(len(layout.rows), 1)
    shape = (
        min(first.height, 6.0), 20 * first.text_height, min(len(layout.rows) / len(layout.pages), 120) / 50,
        float(np.quantile(boxes[:, 2], 0.95) - np.quantile(boxes[:, 0], 0.05)), min(len(layout.pages), 10) / 4,
        min(digits, 6.0) / 3,
    )  # fmt: skip
    return np.array([*(float(name in named) for name in concept_names()), *shape])


def choose_schema(layout: DocumentLayout, scorer: Scorer) -> str:
    """Return the name of the likeliest built-in schema."""
    names = scorer.details["document_types"]
    weights = np.array(scorer.details["document_type_weights"])
    return str(names[int(np.argmax(weights @ np.append(describe_document(layout), 1.0)))])
