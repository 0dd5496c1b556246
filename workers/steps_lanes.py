"""The steps of the fast and the deep lane: reading, review, merge. Know no queue; lanes only by what they read."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from router.believed import believed, disbelieved_by
from router.errors import BlobError, BlobMissingError
from router.policy import Review
from router.schema import Schema
from router.types import Document, Extraction, Page, Result
from workers.blobs import EXTRACTIONS
from workers.endings import Advance, Ending, Finish
from workers.load import Escalation, limit_escalation, under_budget
from workers.pipeline import (
    Readings,
    answered_review,
    deep_question,
    deep_step,
    fast_step,
    finish,
    review_step,
    used_schema,
)
from workers.step import Step, blob_name


def fast(step: Step) -> Ending:
    """Return the result of the fast lane's reading, or the way to the deep lane with the fields that are risky."""
    with step.opened() as opened:
        lane, schema, times = step.runtime.lane("fast"), step.schema, step.times
        with times.measure("fast"):
            reading = fast_step(opened.document, opened, schema, lane)
        schema = used_schema(schema, reading)
        if not step.may_stand_in:
            return finished(step, opened.document, schema, Readings(fast=reading, gap=step.data.gap))
        with times.measure("review"):
            risky = _review(step, reading, schema, believed(opened.document, reading.disbelieved).pages)
        going = _escalate(step, risky, schema)
        if going.fields:
            return _to_deep(step, reading, risky, going)
        readings = Readings(fast=reading, review=risky, gap=going.gap)
        ended = finished(step, opened.document, schema, readings)
    return _not_read(ended, going)


def deep(step: Step) -> Ending:
    """Return the result with the deep lane's reading of the named fields, or of all."""
    reading, risky, gap = _left_by_fast(step)
    with step.opened() as opened:
        document = believed(opened.document, disbelieved_by(reading))
        asked, fields = step.schema, step.data.fields if reading else ()
        if reading is not None:
            asked, fields = deep_question(document, asked, reading, fields)
        with step.times.measure("deep"):
            deep_reading = deep_step(document, opened, asked, step.runtime.lane("deep"), fields)
        schema = used_schema(asked, deep_reading)
        again = answered_review(risky, schema) if risky else None
        readings = Readings(fast=reading, deep=deep_reading, review=again, gap=gap)
        return finished(step, opened.document, schema, readings)


def without_deep(step: Step, cause: str) -> Ending:
    """Return the result of the fast reading alone, where the deep lane failed for good; raise `BlobError`."""
    reading, risky, _ = _left_by_fast(step)
    if reading is None:
        raise BlobMissingError(f"the fast lane's reading of job {step.job.id} is gone")
    readings = Readings(fast=reading, review=risky, gap=f"the deep lane failed ({cause})")
    with step.opened() as opened:
        return finished(step, opened.document, used_schema(step.schema, reading), readings)


def finished(step: Step, document: Document, schema: Schema, readings: Readings) -> Finish:
    """Return the merged result of the readings as the end of the job."""
    score, route = step.data.score, step.data.route
    if score is None or route is None:
        raise ValueError(f"job {step.job.id} came to the {step.job.stage} stage without a route")
    runtime = step.runtime
    result = finish(document, schema, score, route, readings, runtime.decisions, step.times, runtime.today())
    left = step.left(calibrated=result.calibrated)
    return Finish(result, schema, left, describe(result), used_blob=step.data.extraction)


def describe(result: Result) -> str:
    """Return the end of a document in words."""
    found = sum(merged.chosen.present for merged in result.fields.values())
    parts = [f"{found} of {len(result.fields)} fields found"]
    if result.escalated_fields:
        parts.append(f"read again: {', '.join(result.escalated_fields)}")
    if result.unresolved:
        parts.append(f"unresolved: {', '.join(result.unresolved)}")
    return "; ".join(parts)


def _review(step: Step, reading: Extraction, schema: Schema, pages: Sequence[Page]) -> Review:
    """Note what every field would gain, and return the fields that the budget lets go deep."""
    runtime = step.runtime
    doubted = review_step(reading, schema, runtime.decisions.with_budget(1.0), pages, runtime.today())
    runtime.traffic.note(doubted, schema)
    return under_budget(doubted, runtime.traffic.least_gain(step.job.spec.document_id))


def _escalate(step: Step, risky: Review, schema: Schema) -> Escalation:
    """Return what goes deep: the risky fields as far as the backlog allows, in an audit all fields if it does."""
    if not risky.fields and not step.data.audit:
        return Escalation(())
    limit = step.runtime.settings.service.load.deep_limit
    waiting = step.runtime.deep_backlog()
    if step.data.audit and waiting <= limit:
        return Escalation(schema.names())
    return limit_escalation(risky.fields, schema, waiting, limit)


def _to_deep(step: Step, reading: Extraction, risky: Review, going: Escalation) -> Advance:
    left: dict[str, JsonValue] = {
        "extraction": reading.model_dump(mode="json", exclude_defaults=True),
        "review": risky.model_dump(mode="json"),
        "gap": going.gap,
    }
    blob = step.runtime.blobs.put_json(EXTRACTIONS, blob_name(step.job.id, step.lease.token), left, durable=False)
    data = step.left(extraction=blob, fields=going.fields)
    named = "all fields" if step.data.audit else ", ".join(going.fields)
    count = len(reading.fields)
    return Advance("deep", data, f"to be read again: {named}", after_fast=True, fields=count, left_blob=blob)


def _left_by_fast(step: Step) -> tuple[Extraction | None, Review | None, str]:
    """Return what the fast lane left, and the gap so far."""
    if step.data.extraction is None:
        return None, None, step.data.gap
    try:
        left = step.runtime.blobs.get_json(step.data.extraction)
    except BlobError as exc:
        if exc.retryable and step.attempts_left:
            raise
        return None, None, "the fast lane's reading was lost, the deep lane read it all"
    return Extraction.model_validate(left["extraction"]), Review.model_validate(left["review"]), left["gap"]


def _not_read(ended: Finish, going: Escalation) -> Finish:
    """Leave to people the required fields that the deep lane should have read but had no room for."""
    result = ended.result
    required = [name for name in going.refused if ended.schema.field(name).required]
    if not required:
        return ended
    unresolved = tuple(dict.fromkeys([*result.unresolved, *required]))
    marked = result.model_copy(update={"unresolved": unresolved, "status": "needs_review"})
    return Finish(marked, ended.schema, ended.data, f"{ended.detail}; {going.gap}", ended.used_blob)
