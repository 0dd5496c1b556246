"""How a step can end, as data. What follows from an ending is done in one place, `workers.steps`."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.schema import Schema
from router.types import Result
from workers.job_data import JobData
from workers.jobs import Stage


@dataclass(frozen=True)
class Advance:
    """The job goes on to another stage.

    `fields`: how many this step read. `left_blob`: what this step wrote, of no use if the job did not advance.
    """

    stage: Stage
    data: JobData
    detail: str
    after_fast: bool = False
    fields: int = 0
    left_blob: str | None = None


@dataclass(frozen=True)
class Finish:
    """The job has its result. `used_blob`: what no later step will read."""

    result: Result
    schema: Schema
    data: JobData
    detail: str
    used_blob: str | None = None


@dataclass(frozen=True)
class Retry:
    """The same stage begins again after a while."""

    delay_s: float
    error: str


@dataclass(frozen=True)
class Fail:
    """The job ends without a result; `dead`: an operator should look at it."""

    error: str
    dead: bool
    traceback: str = field(default="", repr=False)


Ending = Advance | Finish | Retry | Fail
