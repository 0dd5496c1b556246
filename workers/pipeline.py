"""The way of one document, as plain steps. Knows no queue, file system or environment: the command line runs the steps
in-process, and tasks of a queue can run the same ones.

    intake -> fast_step -> review_step -> deep_step (named fields only) -> finish
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from backends.base import ExtractionRequest, Lane
from router.believed import believed, disbelieved_by
from router.decisions import Decisions
from router.errors import BackendError, ExtractionError, RetryableError
from router.merge import merge_extractions, status_of
from router.policy import Policy, Review, review, route
from router.schema import AUTO, Schema, builtin
from router.score import score_document
from router.types import ComplexityScore, Document, Extraction, Page, PageSource, Result, Route, Tier

TierChoice = Literal["auto", "fast", "deep"]
MAX_ATTEMPTS = 3
RETRY_WAIT_S = 0.2


@dataclass(frozen=True)
class Lanes:
    """The two lanes of a pipeline."""

    fast: Lane
    deep: Lane

    def of(self, tier: Tier) -> Lane:
        """Return the lane of a tier."""
        return self.fast if tier == "fast" else self.deep


@dataclass
class StepTimes:
    """Milliseconds spent in each step of one document."""

    elapsed_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Add the time of the body to a step."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - started) * 1000
            self.elapsed_ms[step] = round(self.elapsed_ms.get(step, 0.0) + spent, 3)


def process_document(
    document: Document,
    pages: PageSource,
    schema: Schema,
    lanes: Lanes,
    decisions: Decisions,
    tier: TierChoice = "auto",
    today: dt.date | None = None,
) -> Result:
    """Return the result of one document: every field of its schema, the route and the reasons.

    `tier` "fast" or "deep" forces a single lane. With "auto" a lane that fails for good is stood in for by the other
    one and the status is then `done_with_gaps`. With `today`, dates far in the future are doubted. Raises
    `BackendError` when no lane could read the document.
    """
    times = StepTimes()
    with times.measure("score"):
        score, chosen = intake(document, pages, lanes, decisions.policy, tier)
    work = _Work(document, pages, schema, lanes, decisions, times, today)
    if chosen.tier == "deep":
        return _deep_first(work, score, chosen, forced=tier == "deep")
    return _fast_first(work, score, chosen, may_escalate=tier == "auto")


def intake(
    document: Document, pages: PageSource, lanes: Lanes, policy: Policy, tier: TierChoice = "auto"
) -> tuple[ComplexityScore, Route]:
    """Return how hard the document is and the lane that reads it first."""
    score = score_document(document, pages)
    return score, choose_route(score, policy, lanes.fast.relative_cost, lanes.deep.relative_cost, tier)


def choose_route(
    score: ComplexityScore, policy: Policy, cost_fast: float, cost_deep: float, tier: TierChoice = "auto"
) -> Route:
    """Return the lane that reads a document first: the one asked for, else the policy's choice."""
    if tier == "auto":
        return route(score, policy, cost_fast, cost_deep)
    reason = f"the {tier} lane was asked for"
    return Route(tier=tier, score=score.value, threshold=policy.threshold, reason=reason)


def fast_step(document: Document, pages: PageSource, schema: Schema, lane: Lane) -> Extraction:
    """Return the fast lane's reading of every field."""
    return _extract(lane, ExtractionRequest(document, pages, schema, "fast"))


def review_step(
    extraction: Extraction,
    schema: Schema,
    decisions: Decisions,
    pages: Sequence[Page] = (),
    today: dt.date | None = None,
) -> Review:
    """Return the fields that are not sure enough, each with its reason.

    What is reviewed is the result as it would stand without the deep lane: with checks, grounding and fused confidence.
    """
    alone = merge_extractions(extraction, None, schema, decisions.weights, pages, today)
    fields = {name: merged.chosen for name, merged in alone.items()}
    return review(extraction.model_copy(update={"fields": fields}), schema, decisions.policy)


def deep_step(
    document: Document, pages: PageSource, schema: Schema, lane: Lane, fields: tuple[str, ...] = ()
) -> Extraction:
    """Return the deep lane's reading of the named fields (all of them when none is named)."""
    return _extract(lane, ExtractionRequest(document, pages, schema, "deep", fields))


def deep_question(
    document: Document, schema: Schema, fast: Extraction, fields: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Return the schema and the fields that the deep lane is asked for after the fast one; none named means all.

    A reading of `auto` that found nothing does not know which kind of document it read: the deep lane chooses then.
    """
    found = any(value.present for value in fast.fields.values())
    if schema.name == AUTO and not found and not all(page.blank for page in document.pages):
        return schema, ()
    return used_schema(schema, fast), fields


def answered_review(risky: Review, schema: Schema) -> Review:
    """Return the review in the fields of the schema that the deep lane chose: all were read again."""
    if all(name in schema.names() for name in risky.fields):
        return risky
    return Review(fields=schema.names(), reasons=dict.fromkeys(schema.names(), "the fast lane found nothing"))


def used_schema(schema: Schema, extraction: Extraction) -> Schema:
    """Return the schema that a lane chose for `auto`, otherwise the one it was given."""
    return builtin(extraction.schema_name) if schema.name == AUTO else schema


def result_schema(schema: Schema, result: Result) -> Schema:
    """Return the schema that a result follows."""
    return builtin(result.schema_name) if schema.name == AUTO else schema


@dataclass(frozen=True)
class _Work:
    document: Document
    pages: PageSource
    schema: Schema
    lanes: Lanes
    decisions: Decisions
    times: StepTimes
    today: dt.date | None


@dataclass(frozen=True)
class Readings:
    """What the lanes said about one document; `gap` tells why a lane that was needed is missing."""

    fast: Extraction | None = None
    deep: Extraction | None = None
    review: Review | None = None
    gap: str = ""


def finish(
    document: Document,
    schema: Schema,
    score: ComplexityScore,
    chosen: Route,
    readings: Readings,
    decisions: Decisions,
    times: StepTimes,
    today: dt.date | None = None,
) -> Result:
    """Return the merged result of the readings; one of them must be there."""
    document = believed(document, disbelieved_by(readings.fast, readings.deep))
    with times.measure("merge"):
        weights = decisions.weights
        merged = merge_extractions(readings.fast, readings.deep, schema, weights, document.pages, today)
        status, unresolved = status_of(merged, schema, weights.floor)
    if readings.gap and status == "done":
        status = "done_with_gaps"
    escalated = readings.review.fields if readings.review else ()
    return Result(
        document_id=document.id,
        uri=document.uri,
        schema_name=schema.name,
        fields=merged,
        score=score,
        route=chosen.model_copy(update={"reason": f"{chosen.reason}; {readings.gap}"}) if readings.gap else chosen,
        escalated_fields=tuple(escalated),
        escalation_reasons=dict(readings.review.reasons) if readings.review else {},
        unresolved=unresolved,
        status=status,
        calibrated=decisions.vouches_for(readings.fast, readings.deep),
        notes=document.notes,
        elapsed_ms=times.elapsed_ms,
    )


def _fast_first(work: _Work, score: ComplexityScore, chosen: Route, may_escalate: bool) -> Result:
    document, pages, lanes, times = work.document, work.pages, work.lanes, work.times
    try:
        with times.measure("fast"):
            fast = fast_step(document, pages, work.schema, lanes.fast)
    except BackendError as exc:
        if not may_escalate:
            raise
        return _stand_in(work, score, chosen, "deep", exc)
    schema = used_schema(work.schema, fast)
    document = believed(document, fast.disbelieved)
    if not may_escalate:
        return _finished(work, schema, score, chosen, Readings(fast=fast))
    with times.measure("review"):
        risky = review_step(fast, schema, work.decisions, document.pages, work.today)
    if not risky.fields:
        return _finished(work, schema, score, chosen, Readings(fast=fast, review=risky))
    try:
        with times.measure("deep"):
            asked, fields = deep_question(document, work.schema, fast, risky.fields)
            deep = deep_step(document, pages, asked, lanes.deep, fields)
    except BackendError as exc:
        gap = Readings(fast=fast, review=risky, gap=f"the deep lane failed ({exc})")
        return _finished(work, schema, score, chosen, gap)
    schema = used_schema(asked, deep)
    readings = Readings(fast=fast, deep=deep, review=answered_review(risky, schema))
    return _finished(work, schema, score, chosen, readings)


def _deep_first(work: _Work, score: ComplexityScore, chosen: Route, forced: bool) -> Result:
    try:
        with work.times.measure("deep"):
            deep = deep_step(work.document, work.pages, work.schema, work.lanes.deep)
    except BackendError as exc:
        if forced:
            raise
        return _stand_in(work, score, chosen, "fast", exc)
    schema = used_schema(work.schema, deep)
    return _finished(work, schema, score, chosen, Readings(deep=deep))


def _stand_in(work: _Work, score: ComplexityScore, chosen: Route, tier: Tier, cause: BackendError) -> Result:
    """Read everything with the other lane after the chosen one failed for good."""
    step: Callable[..., Extraction] = fast_step if tier == "fast" else deep_step
    with work.times.measure(tier):
        extraction = step(work.document, work.pages, work.schema, work.lanes.of(tier))
    other = "deep" if tier == "fast" else "fast"
    readings = Readings(
        fast=extraction if tier == "fast" else None,
        deep=extraction if tier == "deep" else None,
        gap=f"the {other} lane failed ({cause}), the {tier} lane read it all",
    )
    return _finished(work, used_schema(work.schema, extraction), score, chosen, readings)


def _finished(work: _Work, schema: Schema, score: ComplexityScore, chosen: Route, readings: Readings) -> Result:
    return finish(work.document, schema, score, chosen, readings, work.decisions, work.times, work.today)


def _extract(lane: Lane, request: ExtractionRequest) -> Extraction:
    """Ask a lane, again after a failure that may pass; anything but a `BackendError` is a bug of the lane."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return lane.extract(request)
        except RetryableError:
            if attempt == MAX_ATTEMPTS:
                raise
            time.sleep(RETRY_WAIT_S * attempt)
        except BackendError:
            raise
        except Exception as exc:
            raise ExtractionError(f"the {lane.name} lane failed: {type(exc).__name__}: {exc}") from exc
    raise AssertionError("unreachable")
