"""Who sends the notifications that are due, and when again. Knows store and blobs; one try is `webhooks.deliver`.

Receivers are served in turn and a few notifications of each at a time, so that one that is slow or gone holds up nobody
but itself; the store says whose turn it is.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from router.errors import BlobMissingError, DocrouteError
from workers.blobs import Blobs
from workers.jobs import Job
from workers.outbound import Outbound
from workers.redact import redact_callback
from workers.service_settings import WebhookSettings
from workers.store import Store
from workers.store_webhooks import Webhook
from workers.webhooks import Delivery, delay_s, deliver, event_body, event_id

_LOOK_AGAIN_S = 0.25
_CLAIM_MARGIN_S = 30.0
_log = logging.getLogger(__name__)


class Notifier:
    """Sends what is due; several may run, for a notification is claimed by one of them at a time.

    `kept_s`: how long a job is kept after its end; later there is nothing to tell. `chance`: gives jitter in [0, 1).
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        settings: WebhookSettings,
        client: Outbound | None = None,
        kept_s: float = math.inf,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._settings = settings
        self._client = client or Outbound(allow_private=settings.allow_private)
        self._kept_s = kept_s
        self._chance = chance
        self._pool = ThreadPoolExecutor(settings.at_once, "webhook")
        self._flying: set[Future[None]] = set()

    def run_once(self, limit: int = 100) -> int:
        """Return how many notifications were tried, at most `limit`; `StoreError` when the store cannot be asked."""
        return self._run(limit, math.inf)

    def run_for(self, seconds: float) -> int:
        """Send until nothing is due or under way, or `seconds` are over; return how many were begun.

        Those that are still under way then go on, and the next call takes what their threads leave free.
        """
        return self._run(10**9, time.monotonic() + seconds)

    def _run(self, limit: int, until: float) -> int:
        begun = 0
        while time.monotonic() < until:
            new = self._begin(limit - begun)
            begun += new
            if not new and not self._flying:
                break
            self._flying = wait(self._flying, _LOOK_AGAIN_S, FIRST_COMPLETED).not_done
        return begun

    def _begin(self, limit: int) -> int:
        free = min(limit, self._settings.at_once - len(self._flying))
        if free <= 0:
            return 0
        claim_s = self._settings.timeout_s + _CLAIM_MARGIN_S
        due = self._store.due_webhooks(free, claim_s, self._settings.per_receiver)
        self._flying |= {self._pool.submit(self._one, webhook) for webhook in due}
        return len(due)

    def _one(self, webhook: Webhook) -> None:
        try:
            job = self._store.get(webhook.job_id)
            self._note(webhook, job, self._deliver(webhook, job))
        except DocrouteError as exc:  # the claim runs out and it is tried again
            _log.warning("webhook of job %s: %s", webhook.id, exc)
        except Exception:
            _log.exception("webhook of job %s", webhook.id)

    def _deliver(self, webhook: Webhook, job: Job | None) -> Delivery:
        if job is None:
            return Delivery("dead", "the job has expired")
        if not job.is_final:
            return Delivery("retry", "the job is being worked on again")
        try:
            body = event_body(job, self._result(job), webhook)
        except DocrouteError as exc:
            return Delivery("retry", str(exc))
        now = int(self._store.now())
        return deliver(webhook, body, self._settings, self._client, now, event_id(job, webhook))

    def _result(self, job: Job) -> Any:
        if job.result_blob is None:
            return None
        try:
            return self._blobs.get_json(job.result_blob)
        except BlobMissingError:  # waiting brings nothing back, and the state is worth telling
            _log.warning("the result of job %s is gone: %s", job.id, job.result_blob)
            return None

    def _note(self, webhook: Webhook, job: Job | None, delivery: Delivery) -> None:
        if delivery.outcome == "sent":
            self._store.webhook_sent(webhook.id)
            return
        where = redact_callback(webhook.url)
        _log.warning("webhook of job %s, try %d: %s (%s)", webhook.id, webhook.attempts, delivery.error, where)
        wait_s = max(delay_s(webhook.attempts, self._settings, self._chance()), delivery.retry_after_s)
        if delivery.outcome == "dead":
            self._store.webhook_dead(webhook.id, delivery.error, delivery.did)
        elif self._is_last(webhook, job, wait_s):
            error = f"{delivery.error}; given up after {webhook.attempts} tries"
            _log.warning("webhook of job %s: %s (%s)", webhook.id, error, where)
            self._store.webhook_dead(webhook.id, error, delivery.did)
        else:
            self._store.webhook_retry(webhook.id, wait_s, delivery.error, delivery.did)

    def _is_last(self, webhook: Webhook, job: Job | None, wait_s: float) -> bool:
        """Return whether there is no further try; the job's record must not end first, without a word."""
        tries = self._settings.attempts
        if tries is not None and webhook.attempts >= tries:
            return True
        ends_at = webhook.since + self._settings.keep_trying_s
        if job is not None and job.finished_at is not None:
            ends_at = min(ends_at, job.finished_at + self._kept_s)
        return self._store.now() + wait_s > ends_at
