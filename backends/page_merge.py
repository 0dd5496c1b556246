"""Readings of one field from several parts of a document -> one reading. Pure: knows no table, model, page or prompt.

A document whose pages do not go into one prompt is read part by part, and each part answers for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.normalise import fold
from router.types import FieldValue, is_silent

FINISH_ORDER = ("refusal", "error", "cancelled", "deadline", "repetition", "length", "stop")
"""From the worst."""


def merge_parts(readings: Sequence[FieldValue]) -> FieldValue:
    """Return one reading of a field from those of a document's parts, in page order.

    Of several values the most probable stays, with the others as alternatives; parts that say the same count once, with
    the highest probability. Absence is claimed only when every part claims it, and is as sure as the least sure of
    them: a value may stand on the very page that gave no answer.
    """
    if len(readings) == 1:
        return readings[0]
    there = [reading for reading in readings if reading.present]
    if there:
        return _most_probable(there)
    silent = [reading for reading in readings if is_silent(reading)]
    return silent[0] if silent else min(readings, key=_probability)


def worst_finish(reasons: Sequence[str]) -> str:
    """Return the reason that says most about what is missing."""
    return min(reasons, key=lambda reason: FINISH_ORDER.index(reason) if reason in FINISH_ORDER else 1)


def _most_probable(readings: Sequence[FieldValue]) -> FieldValue:
    best: dict[str, FieldValue] = {}
    for reading in readings:
        key = fold(reading.value or reading.raw or "")
        if key not in best or _probability(reading) > _probability(best[key]):
            best[key] = reading
    # a stable sort: of equally probable values the earlier page's stays
    first, *others = sorted(best.values(), key=_probability, reverse=True)
    return first.model_copy(update={"alternatives": (*first.alternatives, *others)})


def _probability(reading: FieldValue) -> float:
    return -1.0 if reading.confidence is None else reading.confidence
