"""What the steps of a job leave for each other in `Job.data`. Pure data: knows no store, queue or model."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, JsonValue

from router.types import ComplexityScore, Frozen, Page, Route
from workers.jobs import Job

_DIGITS = 4


class JobData(Frozen):
    """All keys are optional: a job that is new has none. Unknown ones, as of another version, are left alone.

    `extraction`: blob with the fast lane's reading and its review. `fields`: what the deep lane is to read; none named
    means all. `gap`: why a lane that was needed is missing. `ready_at`: since when the job has waited for its stage, by
    the store's clock. `picture`: the page of a document that is one picture, so that its size and blankness are looked
    for once, and `notes` what was noted then. `calibrated`: whether the result's confidences are. `elapsed_ms`,
    `wait_ms` and `attempts` are by step.
    """

    model_config = ConfigDict(extra="ignore")

    media_type: str = ""
    pages: int = 0
    blank_pages: int = 0
    picture: Page | None = None
    notes: tuple[str, ...] = ()
    score: ComplexityScore | None = None
    route: Route | None = None
    audit: bool = False
    extraction: str | None = None
    fields: tuple[str, ...] = ()
    gap: str = ""
    ready_at: float | None = None
    elapsed_ms: dict[str, float] = Field(default_factory=dict)
    wait_ms: dict[str, float] = Field(default_factory=dict)
    calibrated: bool | None = None
    attempts: dict[str, int] = Field(default_factory=dict)


def read_data(job: Job) -> JobData:
    """Return what earlier steps left."""
    return JobData.model_validate(job.data)


def changes(data: JobData, job: Job) -> dict[str, JsonValue]:
    """Return the JSON values that are new in a job's data or differ from its own, to be merged into it."""
    values = data.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in values.items() if job.data.get(name) != value}


def short_score(score: ComplexityScore) -> ComplexityScore:
    """Return a score in as few digits as people look at: thousands of waiting jobs carry theirs."""
    rounded: dict[str, Any] = {
        "value": round(score.value, _DIGITS),
        "features": {name: round(value, _DIGITS) for name, value in score.features.items()},
        "contributions": {name: round(value, _DIGITS) for name, value in score.contributions.items()},
        "elapsed_ms": round(score.elapsed_ms, 1),
    }
    return score.model_copy(update=rounded)
