"""What a step took and led to, in numbers. Knows no store and no metric."""

from __future__ import annotations

import time

from workers.endings import Advance, Ending, Fail, Finish
from workers.jobs import State
from workers.runtime import StepReport
from workers.step import Step


def report_of(step: Step, ending: Ending | None, outcome: str) -> StepReport:
    """Return the report of a step; a document's fields are counted once, where its first lane has read them."""
    confidences: tuple[float, ...] = ()
    calibrated = True
    fields = escalated = 0
    state: State | None = None
    if outcome == "late":
        ending = None
    if isinstance(ending, Advance) and ending.stage == "deep" and ending.after_fast:
        fields, escalated = ending.fields, len(ending.data.fields)
    elif isinstance(ending, Finish):
        found = [merged.chosen.confidence for merged in ending.result.fields.values()]
        confidences = tuple(confidence for confidence in found if confidence is not None)
        calibrated = ending.result.calibrated
        state = ending.result.status
        if step.data.extraction is None:
            fields = len(found)
            escalated = fields if step.job.stage == "deep" else 0
    elif isinstance(ending, Fail):
        state = "failed"
    return StepReport(
        job_id=step.job.id,
        stage=step.job.stage,
        outcome=outcome,
        attempt=step.job.attempts,
        elapsed_s=time.monotonic() - step.began,
        wait_s=step.wait_s,
        state=state,
        confidences=confidences,
        calibrated=calibrated,
        fields=fields,
        escalated=escalated,
    )
