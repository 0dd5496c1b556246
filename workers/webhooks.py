"""Notifications of finished jobs: who may be called, one delivery, and all that are due. Knows no queue.

A receiver may be down, slow or gone. A notification is sent at least once: a receiver tells a repetition by its
`event_id`. What cannot be delivered ends in a list of its own, from where it can be sent again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from router.errors import CallbackError, DocrouteError
from workers.addresses import Target, is_listed, is_private_name, parse_target
from workers.jobs import Job
from workers.outbound import Answer, NoAnswer, Outbound
from workers.service_settings import WebhookSettings
from workers.signature import HEADER, read_secrets, sign, sign_all, standard_headers, verify
from workers.store_webhooks import Answered, Webhook

__all__ = ["Delivery", "check_callback", "delay_s", "deliver", "event_body", "event_id", "sign", "verify"]

VERSION = 1
MAX_RESULT_BYTES = 5_000_000
_LONGEST_DELAY_S = 3600.0
_LONGEST_RETRY_AFTER_S = 86400.0
_JITTER = 0.25
_MAX_ANSWER_BYTES = 1024
_GONE = 410
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Delivery:
    """What became of one try, and what the receiver did. `retry_after_s`: what it asked for, if it did."""

    outcome: Literal["sent", "retry", "dead"]
    error: str = ""
    retry_after_s: float = 0.0
    did: Answered = ""


def check_callback(url: str, settings: WebhookSettings) -> None:
    """Raise `CallbackError` when the service would not call a URL; the address behind a name is checked at delivery."""
    _target(url, settings)
    if settings.secret_file is None:
        raise CallbackError("webhooks are not set up: service.webhooks.secret_file names no file")


def delay_s(attempts: int, settings: WebhookSettings, chance: float = 0.0) -> float:
    """Return the seconds to wait after so many tries: `wait_s`, doubled for each further one, at most an hour.

    `chance` in [0, 1) adds up to a quarter, so that what failed together does not come again together.
    """
    doublings = min(max(attempts - 1, 0), 32)
    return min(settings.wait_s * 2.0**doublings, _LONGEST_DELAY_S) * (1.0 + _JITTER * chance)


def deliver(
    webhook: Webhook, body: bytes, settings: WebhookSettings, client: Outbound, timestamp: int, event_id: str
) -> Delivery:
    """Return what became of sending a signed body once; never raises for what the receiver does.

    2xx is success whatever the answer says. 410 and a URL that may not be called are final. Everything else may pass:
    a receiver that is being replaced answers 404 or redirects for a while; redirects are not followed.
    """
    try:
        target = _target(webhook.url, settings)
        secrets = read_secrets(settings.secret_file)
    except CallbackError as exc:
        return Delivery("dead", str(exc))
    except DocrouteError as exc:
        return Delivery("retry", str(exc))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"docroute-webhook/{VERSION}",
        HEADER: sign_all(secrets, timestamp, body),
        **standard_headers(secrets, event_id, timestamp, body),
        "Docroute-Event-Id": event_id,
        "Docroute-Attempt": str(webhook.attempts),
        "Content-Length": str(len(body)),
    }
    return _judged(client.send("POST", target, headers, body, settings.timeout_s, _MAX_ANSWER_BYTES), target, timestamp)


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


def _judged(answer: Answer | NoAnswer, target: Target, now: float) -> Delivery:
    if isinstance(answer, NoAnswer):
        return Delivery("dead", answer.error) if answer.final else Delivery("retry", answer.error, did="failed")
    if 200 <= answer.status < 300:
        return Delivery("sent", did="answered")
    if answer.status == _GONE:
        return Delivery("dead", f"{target.place} answered 410: it wants no more notifications", did="answered")
    redirect = ", a redirect, which is not followed" if 300 <= answer.status < 400 else ""
    # A 4xx is about one path: it must not keep the other senders of a host that lives from being called.
    did: Answered = "failed" if answer.status >= _SERVER_ERROR else "answered"
    error = f"{target.place} answered {answer.status}{redirect}"
    return Delivery("retry", error, retry_after_s(answer.headers.get("retry-after", ""), now), did)


def retry_after_s(text: str, now: float) -> float:
    """Return how long a `Retry-After` of seconds or of a date asks to wait, at most a day; 0 for what is neither."""
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), _LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at.timestamp() - now, 0.0), _LONGEST_RETRY_AFTER_S)


def _encoded(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
