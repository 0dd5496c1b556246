"""What follows when a step fails: another attempt, the other lane, or the end. Decides, and changes nothing itself."""

from __future__ import annotations

import random
import traceback

from router.errors import BackendError, BlobError, BlobMissingError, DocrouteError, DocumentError, SchemaError
from workers.endings import Advance, Ending, Fail, Retry
from workers.step import Step
from workers.steps_lanes import without_deep

LONGEST_WAIT_S = 300.0
_MESSAGE_CHARS = 500
_TRACEBACK_CHARS = 8000


def ending_of(step: Step, exc: Exception) -> Ending:
    """Return how a step ends that raised `exc`: another attempt while there are any, then what stands in for it."""
    ending = retry_or_fail(step, exc)
    if not isinstance(ending, Fail) or not ending.dead:
        return ending
    return stand_in(step, one_line(exc), isinstance(exc, BackendError)) or ending


def retry_or_fail(step: Step, exc: Exception) -> Retry | Fail:
    """Return another attempt, or the end: at once for what no attempt will heal."""
    error = one_line(exc)
    if isinstance(exc, DocumentError | SchemaError):
        return Fail(error, dead=False)
    if isinstance(exc, BlobMissingError) or step.job.attempts >= step.runtime.settings.service.steps.max_attempts:
        trace = "".join(traceback.format_exception(exc))[-_TRACEBACK_CHARS:]
        return Fail(error, dead=True, traceback=trace)
    return Retry(delay_s(step), error)


def stand_in(step: Step, cause: str, lane_failed: bool = True) -> Ending | None:
    """Return what a lane that failed for good leaves possible: the fast result alone, or the other lane."""
    stage = step.job.stage
    if stage == "deep" and step.data.extraction is not None:
        try:
            return without_deep(step, cause)
        except (BlobError, DocumentError):
            return None
    if not lane_failed or not step.may_stand_in or stage == "intake":
        return None
    other = "deep" if stage == "fast" else "fast"
    gap = f"the {stage} lane failed ({cause}), the {other} lane read it all"
    return Advance("deep" if stage == "fast" else "fast", step.left(gap=gap), f"the {stage} lane failed: {cause}")


def delay_s(step: Step) -> float:
    """Return how long to wait before the next attempt; doubled with each, and spread."""
    first = step.runtime.settings.service.steps.retry_wait_s
    doubled = min(first * 2.0 ** max(0, step.job.attempts - 1), LONGEST_WAIT_S)
    return doubled * random.uniform(0.8, 1.2)  # so that jobs that failed together do not come back together


def one_line(exc: BaseException) -> str:
    """Return an error in one line; of a foreign exception with its type, which its words seldom tell."""
    text = " ".join(str(exc).split())
    named = text if isinstance(exc, DocrouteError) and text else f"{type(exc).__name__}: {text}"
    return named[:_MESSAGE_CHARS]
