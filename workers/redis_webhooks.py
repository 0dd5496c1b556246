"""What the store in Redis or Valkey does with notifications. Knows no HTTP and no signature."""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workers.broker import Server
from workers.store_codec import one_line
from workers.store_webhooks import Webhook

_AT_ONCE = 500


class RedisWebhooks:
    """This part of `workers.store.Store`, and the server that all parts use."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._run = server.run
        self._key = server.key

    def due_webhooks(self, limit: int, claim_s: float) -> list[Webhook]:
        return _webhooks(self._run("webhooks_due", min(limit, _AT_ONCE), claim_s))

    def webhook_sent(self, webhook_id: str) -> None:
        self._run("webhook_end", webhook_id, "sent", 0, "")

    def webhook_retry(self, webhook_id: str, delay_s: float, error: str) -> None:
        self._run("webhook_end", webhook_id, "retry", delay_s, one_line(error))

    def webhook_dead(self, webhook_id: str, error: str) -> None:
        self._run("webhook_end", webhook_id, "dead", 0, one_line(error))

    def dead_webhooks(self, limit: int = 100) -> list[Webhook]:
        return _webhooks(self._run("webhooks_dead", limit)) if limit > 0 else []

    def dead_webhook_count(self) -> int:
        return self._server.do(lambda client: int(client.zcard(self._key("hx"))))

    def revive_webhook(self, webhook_id: str) -> bool:
        return bool(self._run("webhook_end", webhook_id, "revive", 0, ""))

    def drop_webhook(self, webhook_id: str) -> bool:
        return bool(self._run("webhook_end", webhook_id, "drop", 0, ""))


def _webhooks(flat: Sequence[Any]) -> list[Webhook]:
    return [_webhook(*flat[i : i + 6]) for i in range(0, len(flat), 6)]


def _webhook(name: str, job_id: str, url: str, attempts: str, error: str, metadata: str) -> Webhook:
    words = json.loads(metadata) if metadata else None
    return Webhook(id=name, job_id=job_id, url=url, attempts=int(attempts), error=error, metadata=words)
