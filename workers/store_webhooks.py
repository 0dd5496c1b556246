"""The part of a store's contract that is about notifications of ended jobs. Knows no HTTP and no signature."""

from __future__ import annotations

from typing import Protocol

from router.types import Frozen


class Webhook(Frozen):
    """A notification of one callback of a job. `attempts` counts the tries that were begun.

    `id`: the job's for its first callback, `ID.2` and so on for those of later senders. `metadata`: the words of such
    a sender; None: those of the job.
    """

    id: str
    job_id: str
    url: str
    attempts: int
    error: str = ""
    metadata: dict[str, str] | None = None


class WebhookStore(Protocol):
    """What the sender of notifications may do; see `workers.store.Store` for the rest. `webhook_id`: `Webhook.id`."""

    def due_webhooks(self, limit: int, claim_s: float) -> list[Webhook]:
        """Return notifications that are due, their attempt counted, claimed for `claim_s`."""
        ...

    def webhook_sent(self, webhook_id: str) -> None:
        """Note that a notification arrived (event in the job's log)."""
        ...

    def webhook_retry(self, webhook_id: str, delay_s: float, error: str) -> None:
        """Make a notification due again after `delay_s`."""
        ...

    def webhook_dead(self, webhook_id: str, error: str) -> None:
        """Give a notification up; it is kept in a list of its own."""
        ...

    def dead_webhooks(self, limit: int = 100) -> list[Webhook]:
        """Return the notifications that were given up, newest first."""
        ...

    def dead_webhook_count(self) -> int:
        """Return how many notifications were given up and are kept."""
        ...

    def revive_webhook(self, webhook_id: str) -> bool:
        """Make a notification that was given up due again, with attempts at 0."""
        ...

    def drop_webhook(self, webhook_id: str) -> bool:
        """Take a notification that was given up off its list; it is never sent."""
        ...
