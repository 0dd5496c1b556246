"""A result as the JSON that users get. Knows the core types only.

The form follows the big document services: `fields.NAME = {type, value, raw, confidence, bounding_regions, source,
...}`. An absent field has `value` null; its confidence is then that of the absence.
"""

from __future__ import annotations

from typing import Any

from router.errors import DocrouteError
from router.schema import Schema
from router.types import Cell, FieldValue, MergedField, Polygon, Provenance, Result

Json = dict[str, Any]


def result_json(file: str, result: Result, schema: Schema) -> Json:
    """Return a result as plain JSON values; `file` is the name the document was given by."""
    score = result.score
    return {
        "file": file,
        "document_id": result.document_id,
        "schema": result.schema_name,
        "status": result.status,
        "calibrated": result.calibrated,
        "route": {
            "tier": result.route.tier,
            "score": round(result.route.score, 4),
            "threshold": round(result.route.threshold, 4),
            "reason": result.route.reason,
            "contributions": {k: round(v, 4) for k, v in score.contributions.items()} if score else {},
        },
        "fields": {name: field_json(merged, schema.field(name).kind) for name, merged in result.fields.items()},
        "escalated_fields": list(result.escalated_fields),
        "escalation_reasons": result.escalation_reasons,
        "unresolved": list(result.unresolved),
        "notes": list(result.notes),
        "elapsed_ms": result.elapsed_ms,
    }


def failure_json(file: str, error: str, kind: str = DocrouteError.__name__) -> Json:
    """Return the line of a document that could not be read: no fields, the cause instead."""
    return {"file": file, "status": "failed", "error": {"type": kind, "message": error}, "fields": {}}


def field_json(merged: MergedField, kind: str) -> Json:
    """Return one merged field with the readings it was chosen from."""
    return (
        {"type": kind}
        | _value_json(merged.chosen)
        | {
            "rule": merged.rule,
            "candidates": [_value_json(candidate) for candidate in merged.candidates],
            "checks": [check.model_dump() for check in merged.chosen.checks],
        }
    )


def _value_json(value: FieldValue) -> Json:
    provenance = value.provenance
    found = {
        "value": value.value if value.present else None,
        "raw": value.raw if value.present else None,
        "present": value.present,
        "confidence": _rounded(value.confidence),
        "bounding_regions": _regions(value.page, value.polygon),
        "source": _source_json(provenance) if provenance else None,
    }
    if value.ambiguous:
        found["ambiguous"] = True
    if value.rows is not None:
        found["rows"] = [{column: _cell_json(cell) for column, cell in row.items()} for row in value.rows]
    return found


def _source_json(provenance: Provenance) -> Json:
    source = {"tier": provenance.tier, "backend": provenance.backend, "model": provenance.model}
    return source | ({"revision": provenance.revision} if provenance.revision else {})


def _cell_json(cell: Cell) -> Json:
    return {
        "value": cell.value,
        "raw": cell.raw,
        "confidence": _rounded(cell.confidence),
        "bounding_regions": _regions(cell.page, cell.polygon),
    }


def _regions(page: int | None, polygon: Polygon | None) -> list[Json]:
    if page is None:
        return []
    return [{"page": page} | ({"polygon": [round(x, 5) for x in polygon]} if polygon else {})]


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)
