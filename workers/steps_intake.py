"""Intake: a document opened, scored and routed. Knows no model, and the deep lane only by how many wait for it."""

from __future__ import annotations

from router.documents import is_picture
from router.score import score_document
from router.types import Document, Route
from workers.endings import Advance, Ending
from workers.job_data import short_score
from workers.load import in_sample
from workers.pipeline import choose_route
from workers.step import Step


def intake(step: Step) -> Ending:
    """Return the stage that reads the document first; raise `DocumentError`, `SchemaError`, `BlobError`."""
    runtime, spec = step.runtime, step.job.spec
    _ = step.schema  # one that is not there should fail the job here, before any model
    with step.opened() as opened, step.times.measure("score"):
        score = score_document(opened.document, opened)
    chosen = choose_route(score, runtime.decisions.policy, *runtime.costs, spec.tier)
    share = runtime.settings.service.load.audit_share
    audit = spec.tier == "auto" and (spec.audit or in_sample(spec.document_id, share))
    first = _first(step, chosen, audit)
    document = opened.document
    data = step.left(
        media_type=document.media_type,
        pages=len(document.pages),
        blank_pages=sum(page.blank for page in document.pages),
        picture=document.pages[0] if is_picture(document.media_type) else None,
        notes=document.notes,
        score=short_score(score),
        route=first.model_copy(update={"score": round(first.score, 4), "threshold": round(first.threshold, 4)}),
        audit=audit,
    )
    return Advance(first.tier, data, f"{describe(document)}: {first.reason}")


def describe(document: Document) -> str:
    """Return how many pages a document has, in words."""
    count = len(document.pages)
    return f"{count} page{'s' if count != 1 else ''}"


def _first(step: Step, chosen: Route, audit: bool) -> Route:
    """Send to the fast lane what both shall read, and what would wait for a deep lane that is behind."""
    if chosen.tier == "fast" or step.job.spec.tier != "auto":
        return chosen
    waiting = step.runtime.deep_backlog()
    if audit:
        reason = f"{chosen.reason}; both lanes read it, as a sample"
    elif waiting > step.runtime.settings.service.load.deep_limit:
        reason = f"{chosen.reason}; but {waiting} jobs wait for the deep lane, so the fast lane reads first"
    else:
        return chosen
    return chosen.model_copy(update={"tier": "fast", "reason": reason})
