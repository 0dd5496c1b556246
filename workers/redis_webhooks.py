"""What the store in Redis or Valkey does with notifications. Knows no HTTP and no signature."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workers import store_webhooks as rules
from workers.broker import Server
from workers.store_codec import one_line
from workers.store_webhooks import Answered, Receiver, Webhook, receiver_of

_AT_ONCE = 500


class RedisWebhooks:
    """This part of `workers.store.Store`, and the server that all parts use."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._run = server.run
        self._key = server.key

    def due_webhooks(self, limit: int, claim_s: float, per_receiver: int = 4) -> list[Webhook]:
        limits = min(limit, _AT_ONCE), claim_s, per_receiver, rules.RECEIVERS_AT_ONCE
        return _webhooks(self._run("webhooks_due", *limits))

    def webhook_sent(self, webhook_id: str) -> None:
        self._end(webhook_id, "sent", did="answered")

    def webhook_retry(self, webhook_id: str, delay_s: float, error: str, did: Answered = "") -> None:
        self._end(webhook_id, "retry", delay_s, one_line(error), did)

    def webhook_dead(self, webhook_id: str, error: str, did: Answered = "") -> None:
        self._end(webhook_id, "dead", 0.0, one_line(error), did)

    def _end(self, webhook_id: str, what: str, delay_s: float = 0.0, error: str = "", did: Answered = "") -> bool:
        breaker = rules.BREAK_AFTER, rules.FIRST_PAUSE_S, rules.LONGEST_PAUSE_S
        return bool(self._run("webhook_end", webhook_id, what, delay_s, error, did, *breaker))

    def dead_webhooks(self, limit: int = 100) -> list[Webhook]:
        return _webhooks(self._run("webhooks_dead", limit)) if limit > 0 else []

    def dead_webhook_count(self) -> int:
        return self._server.do(lambda client: int(client.zcard(self._key("hx"))))

    def revive_webhook(self, webhook_id: str) -> bool:
        return self._end(webhook_id, "revive")

    def drop_webhook(self, webhook_id: str) -> bool:
        return self._end(webhook_id, "drop")

    def receivers(self, limit: int = 100) -> list[Receiver]:
        def read(client: Any) -> list[Receiver]:
            places = client.zrange(self._key("h"), 0, limit - 1)
            pipe = client.pipeline(transaction=False)
            for place in places:
                pipe.zcard(self._key(f"h:{place}"))
                pipe.hmget(self._key(f"b:{place}"), "f", "o")
            told = pipe.execute()
            return [_receiver(place, *told[2 * i : 2 * i + 2]) for i, place in enumerate(places)]

        return self._server.do(read) if limit > 0 else []


def callback_arg(url: str | None) -> str:
    """Return a callback as scripts take it: its receiver and the URL, empty for none."""
    return f"{receiver_of(url)} {url}" if url else ""


def _receiver(place: str, waiting: int, breaker: Sequence[str | None]) -> Receiver:
    failures, open_until = breaker
    return Receiver(place=place, waiting=waiting, failures=int(failures or 0), open_until=float(open_until or 0))


def _webhooks(flat: Sequence[Any]) -> list[Webhook]:
    return [_webhook(*flat[i : i + 7]) for i in range(0, len(flat), 7)]


def _webhook(name: str, job_id: str, url: str, attempts: str, error: str, metadata: str, since: str) -> Webhook:
    return Webhook(
        id=name,
        job_id=job_id,
        url=url,
        attempts=int(attempts),
        error=error,
        metadata=json.loads(metadata) if metadata else None,
        since=float(since),
    )
