"""How the whole service stands, in one look: queues, jobs, counters, the broker's memory. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from router.errors import StoreError
from workers.broker import Server, broker_address, connect
from workers.broker_errors import broker_problem
from workers.jobs import STAGES, Priority, Stage, State
from workers.quarantine import Quarantine
from workers.queue_depth import BrokerQueues, Unacked
from workers.service_settings import BrokerSettings
from workers.store import Store

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ServiceSight:
    """All of it. `depth`: messages by queue and priority. `oldest_s`: how long the longest waiting job of a stage has
    waited, 0 where none waits.
    """

    at: float
    depth: dict[Stage, dict[Priority, int]]
    unacked: Unacked
    memory_bytes: int
    waiting: dict[Stage, int]
    oldest_s: dict[Stage, float]
    jobs: dict[State, int]
    statistics: dict[str, float]
    dead_letters: int
    dead_webhooks: int
    aside_messages: int = 0
    has_epoch: bool = True

    @property
    def escalation_share(self) -> float | None:
        """Share of all fields read by the fast lane that were sent to the deep one; None before there are any."""
        fields = self.statistics.get("fields", 0.0)
        return self.statistics.get("fields_escalated", 0.0) / fields if fields else None


class QueueWatch:
    """Looks when it is asked. Raises `StoreError` when the broker is away."""

    def __init__(self, broker: BrokerSettings, store: Store) -> None:
        self._store = store
        self._queues = BrokerQueues(broker)
        self._quarantine = Quarantine(Server(broker, TIMEOUT_S))
        self._address = broker_address(broker)
        self._client = connect(broker, TIMEOUT_S)

    def look(self) -> ServiceSight:
        """Return how things stand now."""
        store, now = self._store, self._store.now()
        since = {stage: store.waiting_since(stage) for stage in STAGES}
        return ServiceSight(
            at=now,
            depth=self._queues.depths(),
            unacked=self._queues.unacked(),
            memory_bytes=self._memory_bytes(),
            waiting={stage: store.waiting_count(stage) for stage in STAGES},
            oldest_s={stage: max(0.0, now - at) if at is not None else 0.0 for stage, at in since.items()},
            jobs=store.counts(),
            statistics=store.statistics(),
            dead_letters=store.dead_count(),
            dead_webhooks=store.dead_webhook_count(),
            aside_messages=self._quarantine.count(),
            has_epoch=store.epoch() is not None,
        )

    def close(self) -> None:
        """Close the connections of its own."""
        self._queues.close()
        self._quarantine.close()
        self._client.close()

    def _memory_bytes(self) -> int:
        try:
            memory: Any = self._client.info("memory")
        except redis.RedisError as exc:
            raise StoreError(broker_problem(self._address, exc)) from exc
        return int(memory.get("used_memory", 0))
