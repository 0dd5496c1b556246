"""Which kind of candidate a field's value can be. Knows schemas, not documents."""

from __future__ import annotations

import re
from functools import lru_cache

from backends.ocr.candidates import CandidateKind
from backends.ocr.concepts import label_pattern
from router.schema import FieldSpec

SPECIAL = frozenset({"currency", "document_type", "is_gst_included", "statement_period"})
"""Built-in fields that are told by rules over the whole document, not picked from candidates."""


def candidate_kind(spec: FieldSpec) -> CandidateKind | None:
    """Return the kind of candidates for a field; None where it is told by rules."""
    if spec.name in SPECIAL:
        return None
    match spec.kind:
        case "boolean" | "enum" | "table":
            return None
        case "text":
            return "address" if spec.name.endswith("address") else "name"
        case kind:
            return kind


@lru_cache(maxsize=512)
def labels_of(spec: FieldSpec) -> re.Pattern[str] | None:
    """Return the pattern of a field's label words; a field without any is looked for by its name."""
    words = spec.labels or (spec.name.replace("_", " "),)
    return label_pattern(words)
