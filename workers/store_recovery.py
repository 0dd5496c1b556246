"""The part of a store's contract that serves to notice and to mend its own loss. Knows jobs, no blob."""

from __future__ import annotations

from typing import Protocol

from workers.jobs import Ended, JobSpec

RECOVERED = "after the broker was lost"


class Recoverable(Protocol):
    """A part of `workers.store.Store`."""

    def epoch(self) -> str | None:
        """Return the name that this store was given when the service began; None for one that came up empty."""
        ...

    def join_epoch(self, epoch: str, replace: bool = False) -> str:
        """Give a store without an epoch this one, or any store with `replace`; return the one it has then."""
        ...

    def read_again(self, job_id: str, detail: str) -> bool:
        """Let an ended job whose result is gone wait for intake, with attempts at 0; return whether it had ended.

        Event `revived`. It loses its result, dead letter and pending webhook; its next end makes a webhook due.
        """
        ...

    def restore(self, job_id: str, spec: JobSpec, ended: Ended, created_at: float, asked: str = "") -> bool:
        """Make a job that has ended before, event `recovered`; return False, changing nothing, for a known id.

        Its retention and its webhook, if any, begin anew; `created_at` is by the store's clock, in seconds.
        `asked`: `Job.asked` of that time, empty where it is not known.
        """
        ...
