"""Notifications of finished jobs: who may be called, one delivery, and all that are due. Knows no queue.

A receiver may be down, slow or gone. A notification is sent at least once: a receiver tells a repetition by its
`event_id`. What cannot be delivered ends in a list of its own, from where it can be sent again.
"""

from __future__ import annotations

import json
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from router.errors import BlobMissingError, CallbackError, DocrouteError
from workers.addresses import Target, is_listed, is_private_name, parse_target
from workers.blobs import Blobs
from workers.jobs import Job
from workers.outbound import Answer, NoAnswer, Outbound
from workers.redact import redact_url
from workers.service_settings import WebhookSettings
from workers.signature import HEADER, read_secrets, sign, sign_all, verify
from workers.store import Store
from workers.store_webhooks import Webhook

__all__ = ["Delivery", "Notifier", "check_callback", "delay_s", "deliver", "event_body", "sign", "verify"]

VERSION = 1
MAX_RESULT_BYTES = 5_000_000
_LONGEST_DELAY_S = 3600.0
_MAX_ANSWER_BYTES = 1024
_AT_ONCE = 8
_GONE = 410
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What became of one try. `retry_after_s`: what the receiver asked for, if it did."""

    outcome: Literal["sent", "retry", "dead"]
    error: str = ""
    retry_after_s: float = 0.0


def check_callback(url: str, settings: WebhookSettings) -> None:
    """Raise `CallbackError` when the service would not call a URL; the address behind a name is checked at delivery."""
    _target(url, settings)
    if settings.secret_file is None:
        raise CallbackError("webhooks are not set up: service.webhooks.secret_file names no file")


def delay_s(attempts: int, settings: WebhookSettings) -> float:
    """Return the seconds to wait after so many tries: `wait_s`, doubled for each further one, at most an hour."""
    doublings = min(max(attempts - 1, 0), 32)
    return min(settings.wait_s * 2.0**doublings, _LONGEST_DELAY_S)


def deliver(
    webhook: Webhook, body: bytes, settings: WebhookSettings, client: Outbound, timestamp: int, event_id: str
) -> Delivery:
    """Return what became of sending a signed body once; never raises for what the receiver does.

    2xx is success whatever the answer says. 410 and a URL that may not be called are final. Everything else may pass:
    a receiver that is being replaced answers 404 or redirects for a while; redirects are not followed.
    """
    try:
        target = _target(webhook.url, settings)
        signature = sign_all(read_secrets(settings.secret_file), timestamp, body)
    except CallbackError as exc:
        return Delivery("dead", str(exc))
    except DocrouteError as exc:
        return Delivery("retry", str(exc))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"docroute-webhook/{VERSION}",
        HEADER: signature,
        "Docroute-Event-Id": event_id,
        "Docroute-Attempt": str(webhook.attempts),
        "Content-Length": str(len(body)),
    }
    return _judged(client.send("POST", target, headers, body, settings.timeout_s, _MAX_ANSWER_BYTES), target)


def event_body(job: Job, result: Any, webhook: Webhook | None = None) -> bytes:
    """Return the JSON that a receiver gets; a result beyond 5 MB is left out and says so.

    A submission whose id is another's is told as `conflict` or `refused` of that id, without a word of that job.
    """
    words = webhook.metadata if webhook else None
    value = {
        "version": VERSION,
        "event_id": event_id(job, webhook),
        "job_id": job.spec.asked_id or job.id,
        "document_id": job.spec.document_id,
        "state": job.spec.notice or job.state,
        "finished_at": job.finished_at,
        "metadata": job.spec.metadata if words is None else words,
        "error": job.error,
        "lowest_confidence": job.lowest_confidence,
        "calibrated": job.data.get("calibrated"),
        "result": result,
        "result_omitted": False,
    }
    body = _encoded(value)
    return body if len(body) <= MAX_RESULT_BYTES else _encoded(value | {"result": None, "result_omitted": True})


def event_id(job: Job, webhook: Webhook | None = None) -> str:
    """Return what a repetition of a notification shares with the first; each of several senders has its own."""
    slot = webhook.id.removeprefix(job.id) if webhook else ""
    return f"{job.id}.{job.spec.notice or job.state}{slot}"


class Notifier:
    """Sends what is due; several may run, for a notification is claimed by one of them at a time."""

    def __init__(self, store: Store, blobs: Blobs, settings: WebhookSettings, client: Outbound | None = None) -> None:
        self._store = store
        self._blobs = blobs
        self._settings = settings
        self._client = client or Outbound(allow_private=settings.allow_private)

    def run_once(self, limit: int = 100) -> int:
        """Return how many notifications were tried, at most `limit`; `StoreError` when the store cannot be asked."""
        claim_s = self._settings.timeout_s * (math.ceil(limit / _AT_ONCE) + 1) + 30.0
        due = self._store.due_webhooks(limit, claim_s)
        if not due:
            return 0
        with ThreadPoolExecutor(min(_AT_ONCE, len(due)), "webhook") as pool:
            list(pool.map(self._one, due))
        return len(due)

    def _one(self, webhook: Webhook) -> None:
        try:
            self._note(webhook, self._deliver(webhook))
        except DocrouteError as exc:  # the claim runs out and it is tried again
            _log.warning("webhook of job %s: %s", webhook.id, exc)
        except Exception:
            _log.exception("webhook of job %s", webhook.id)

    def _deliver(self, webhook: Webhook) -> Delivery:
        job = self._store.get(webhook.job_id)
        if job is None:
            return Delivery("dead", "the job has expired")
        if not job.is_final:
            return Delivery("retry", "the job is being worked on again")
        try:
            body = event_body(job, self._result(job), webhook)
        except DocrouteError as exc:
            return Delivery("retry", str(exc))
        return deliver(webhook, body, self._settings, self._client, int(self._store.now()), event_id(job, webhook))

    def _result(self, job: Job) -> Any:
        if job.result_blob is None:
            return None
        try:
            return self._blobs.get_json(job.result_blob)
        except BlobMissingError:  # waiting brings nothing back, and the state is worth telling
            _log.warning("the result of job %s is gone: %s", job.id, job.result_blob)
            return None

    def _note(self, webhook: Webhook, delivery: Delivery) -> None:
        name, tries = webhook.id, webhook.attempts
        if delivery.outcome == "sent":
            self._store.webhook_sent(name)
            return
        _log.warning("webhook of job %s, try %d: %s (%s)", name, tries, delivery.error, redact_url(webhook.url))
        if delivery.outcome == "dead" or tries >= self._settings.attempts:
            self._store.webhook_dead(name, delivery.error)
        else:
            wait_s = max(delay_s(tries, self._settings), delivery.retry_after_s)
            self._store.webhook_retry(name, wait_s, delivery.error)


def _target(url: str, settings: WebhookSettings) -> Target:
    try:
        target = parse_target(url)
    except ValueError as exc:
        raise CallbackError(f"the callback URL is refused: {exc}") from exc
    if target.scheme == "http" and not settings.allow_http:
        raise CallbackError("the callback URL must be https; service.webhooks.allow_http lifts this")
    if not is_listed(target, settings.hosts):
        raise CallbackError(f"the callback host {target.place} is not among service.webhooks.hosts")
    if not settings.allow_private and is_private_name(target.host):
        raise CallbackError(f"the callback host {target.place} is private; service.webhooks.allow_private lifts this")
    return target


def _judged(answer: Answer | NoAnswer, target: Target) -> Delivery:
    if isinstance(answer, NoAnswer):
        return Delivery("dead" if answer.final else "retry", answer.error)
    if 200 <= answer.status < 300:
        return Delivery("sent")
    if answer.status == _GONE:
        return Delivery("dead", f"{target.place} answered 410: it wants no more notifications")
    redirect = ", a redirect, which is not followed" if 300 <= answer.status < 400 else ""
    return Delivery("retry", f"{target.place} answered {answer.status}{redirect}", _retry_after_s(answer))


def _retry_after_s(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), _LONGEST_DELAY_S) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _encoded(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
