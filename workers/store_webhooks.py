"""The part of a store's contract that is about notifications of ended jobs. Knows no HTTP and no signature."""

from __future__ import annotations

from typing import Literal, Protocol

from router.types import Frozen
from workers.addresses import parse_target

Answered = Literal["answered", "failed", ""]
"""What a receiver did: it answered, or failed to; or nothing, because it was not asked."""
BREAK_AFTER = 5
"""Failures in a row after which a receiver is left alone for a while."""
FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 300.0
"""The first pause, doubled each time that the one try after it fails."""
RECEIVERS_AT_ONCE = 200


def receiver_of(url: str) -> str:
    """Return the `host` or `host:port` that a callback URL calls; empty for one that can never be called."""
    try:
        return parse_target(url).place
    except ValueError:
        return ""


def pause_s(pauses: int) -> float:
    """Return how long a receiver is left alone for the n-th time in a row."""
    return float(min(FIRST_PAUSE_S * 2.0 ** min(pauses - 1, 30), LONGEST_PAUSE_S))


class Receiver(Frozen):
    """A receiver for which notifications wait. `open_until`: when it is tried again, 0 while nothing is wrong."""

    place: str
    waiting: int
    failures: int = 0
    open_until: float = 0.0


class Webhook(Frozen):
    """A notification of one callback of a job. `attempts` counts the tries that were begun.

    `id`: the job's for its first callback, `ID.2` and so on for those of later senders. `metadata`: the words of such
    a sender; None: those of the job. `since`: when the first try began, in seconds since the epoch by the
    store's clock.
    """

    id: str
    job_id: str
    url: str
    attempts: int
    error: str = ""
    metadata: dict[str, str] | None = None
    since: float = 0.0


class WebhookStore(Protocol):
    """What the sender of notifications may do; see `workers.store.Store` for the rest. `webhook_id`: `Webhook.id`."""

    def due_webhooks(self, limit: int, claim_s: float, per_receiver: int = 4) -> list[Webhook]:
        """Return notifications that are due, their attempt counted, claimed for `claim_s`.

        Receivers have their turns one after the other, and at most `per_receiver` claims each at a time. One that
        failed `BREAK_AFTER` times in a row has none for a growing pause, and then one, to see.
        """
        ...

    def webhook_sent(self, webhook_id: str) -> None:
        """Note that a notification arrived (event in the job's log)."""
        ...

    def webhook_retry(self, webhook_id: str, delay_s: float, error: str, did: Answered = "") -> None:
        """Make a notification due again after `delay_s`."""
        ...

    def webhook_dead(self, webhook_id: str, error: str, did: Answered = "") -> None:
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

    def receivers(self, limit: int = 100) -> list[Receiver]:
        """Return receivers for which notifications wait, those whose turn is next first."""
        ...
